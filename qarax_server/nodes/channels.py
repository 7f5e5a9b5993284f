"""One channel per host, made when first needed and made anew when its address changes or it hangs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import grpc

from qarax_server.errors import SettingsError
from qarax_server.models import Host
from qarax_server.nodes.client import NodeClient, Patience
from qarax_server.settings import NodeTls

log = logging.getLogger(__name__)

OPTIONS = (
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 2000),
    ("grpc.max_reconnect_backoff_ms", 3000),
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.use_local_subchannel_pool", 1),
)


class Nodes:
    """The clients of all hosts.

    `fence` is the lease's number; `on_older_fence` is called when a node has seen a newer one.
    """

    def __init__(self, tls: NodeTls, silence_seconds: float = 5.0) -> None:
        self.fence = 0
        self.on_older_fence: Callable[[], None] = lambda: None
        self._silence = silence_seconds
        self._credentials = _credentials(tls)
        self._clients: dict[str, tuple[str, NodeClient]] = {}

    def of(self, host: Host) -> NodeClient:
        """Return the client of a host's node; nothing is dialled before its first call."""
        target = f"[{host.address}]:{host.port}" if ":" in host.address else f"{host.address}:{host.port}"
        known = self._clients.get(host.id)
        if known is not None and known[0] == target:
            return known[1]
        client = NodeClient(host.name, self._channel(target), self, Patience(self._silence))
        self._clients[host.id] = (target, client)
        return client

    async def reset(self, host_id: str) -> None:
        """End a host's connection with everything that waits on it; the next call dials anew."""
        known = self._clients.pop(host_id, None)
        if known is not None:
            await known[1].channel.close()

    async def close(self) -> None:
        """End all connections."""
        for host_id in list(self._clients):
            await self.reset(host_id)

    def _channel(self, target: str) -> grpc.aio.Channel:
        if self._credentials is None:
            return grpc.aio.insecure_channel(target, options=OPTIONS)
        return grpc.aio.secure_channel(target, self._credentials, options=OPTIONS)


def _credentials(tls: NodeTls) -> grpc.ChannelCredentials | None:
    files = (tls.ca, tls.key, tls.certificate)
    if not any(files):
        return None
    if not all(files):
        raise SettingsError("node_tls needs all of ca, certificate and key, or none of them")
    try:
        return grpc.ssl_channel_credentials(*(Path(name).read_bytes() for name in files))
    except OSError as error:
        raise SettingsError(f"node_tls: {error.filename} cannot be read: {error.strerror}") from error
