"""What certificates call the control plane and its hosts.

A host is its id: the DNS name is what TLS verifies, whatever address was dialled; the URI is for people and
programs that look at a certificate. Nothing outside ever resolves these names.
"""

from __future__ import annotations

DOMAIN = "hosts.qarax.internal"
SERVER_URI = "qarax://server"
_HOST_PREFIX = "qarax://host/"


def dns_name(host_id: str) -> str:
    """The name that a host's certificate must carry."""
    return f"{host_id}.{DOMAIN}"


def host_uri(host_id: str) -> str:
    """The same for people: `qarax://host/<id>`."""
    return f"{_HOST_PREFIX}{host_id}"


def host_of(uri: str) -> str | None:
    """The host id that a URI names; None when it names no host."""
    return uri.removeprefix(_HOST_PREFIX) if uri.startswith(_HOST_PREFIX) else None


def is_reserved(name: str) -> bool:
    """Whether an address could be taken for a host's identity, so that no certificate may carry it as is."""
    return name.rstrip(".").lower().endswith(DOMAIN)
