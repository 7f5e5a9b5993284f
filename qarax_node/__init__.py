"""The agent of one host, and the keeper beside it."""

import os

# gRPC reads this as it is imported; its own lines about each stranger's handshake would fill the log
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
