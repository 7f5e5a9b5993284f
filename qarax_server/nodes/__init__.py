"""The nodes as the control plane sees them: calls in its own words, errors of its own tree.

The only place that knows gRPC. `channels.Nodes` holds one link per host, `client.NodeClient` the calls,
`wire` the mapping of messages, `failures` that of errors.
"""
