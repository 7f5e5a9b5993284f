"""vhost-user sockets: only where the operator allowed them, the backend's there before a start.

The VMM waits a minute for a backend that is not there, blind and deaf meanwhile; so it is looked for first.
As the server it makes the socket itself, and a VMM that was killed leaves it behind.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from qarax_node.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qarax_node.drivers.base import NetworkSpec

SERVER = "server"


def check_path(path: str, allowed: Sequence[Path], field: str) -> None:
    """Refuse a socket outside the allowed directories, whichever way its path leads out of them."""
    place = Path(path)
    inside = place.is_absolute() and any(
        Path(os.path.realpath(place.parent)).is_relative_to(os.path.realpath(directory))
        for directory in allowed
    )
    if not inside or place.name in {"", "."}:
        offered = ", ".join(str(directory) for directory in allowed) or "no directory at all"
        raise NodeError(
            f"vhost_socket {path!r} must lie in {offered}; the node's --vhost-socket-dir allows more",
            code="vhost_socket_not_allowed",
            field=field,
        )


def prepare(network: NetworkSpec, field: str) -> None:
    """Before a start: a backend that serves has made its socket, or the VMM's own place is free."""
    if is_server(network):
        remove(network)
        return
    if not _is_socket(network.vhost_socket):
        raise NodeError(
            f"there is no vhost-user backend at {network.vhost_socket}: start it first",
            code="vhost_backend_missing",
            field=field,
        )


def remove(network: NetworkSpec) -> None:
    """Take away a socket that a VMM made; a backend's own stays."""
    if is_server(network) and _is_socket(network.vhost_socket):
        Path(network.vhost_socket).unlink(missing_ok=True)


def is_server(network: NetworkSpec) -> bool:
    """Whether the VMM makes the socket and its backend connects."""
    return network.vhost_mode.lower() == SERVER


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False
