"""The control plane."""

import os

# gRPC reads this as it is imported; what there is to say about a node is in its host's status_reason
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
