"""Which addresses of a control plane are accepted: a token never travels unencrypted beyond this machine."""

from __future__ import annotations

from ipaddress import ip_address

from yarl import URL

from .errors import SettingsError
from .sanitise import safe


def checked_address(base_url: str, token: str | None) -> URL:
    """The address as a URL; plain HTTP only to this machine, or anywhere when no token would travel."""
    try:
        url = URL(base_url.rstrip("/"))
    except ValueError as error:
        raise SettingsError(f"{safe(base_url)} is not an address.", "Use http://host:port.") from error
    if url.scheme not in ("http", "https") or not url.host or url.user or url.query_string:
        raise SettingsError(f"{safe(base_url)} is not an address.", "Use http://host:port or https://host.")
    if url.scheme == "http" and token and not _is_this_machine(url.host):
        raise SettingsError(
            f"A token would travel unencrypted to {safe(url.host)}.",
            "Use an https:// address, or unset QARAX_TOKEN.",
        )
    return url


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
