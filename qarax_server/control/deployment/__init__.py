"""From a machine to a host: `deployments` begins and settles, `direct` and `bootc` are the steps."""
