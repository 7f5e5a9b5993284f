"""The private CA between the control plane and its nodes: who is who on the wire.

`identities` are the names that certificates carry, `authority` signs them, `folders` keeps them in files.
The command is `ca_command.py`; what checks them is `nodes/credentials.py` here and `rpc/identity.py` there.
"""

from qarax_server.certificates.authority import HOST_DAYS, Authority, Issued
from qarax_server.certificates.identities import SERVER_URI, dns_name, host_uri

__all__ = ["HOST_DAYS", "SERVER_URI", "Authority", "Issued", "dns_name", "host_uri"]
