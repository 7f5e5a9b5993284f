"""One channel per host, made when first needed and made anew when its address changes or it hangs.

With certificates, a channel comes about only with a node whose certificate is that very host's, whatever
address it was dialled at; `handshake` says in words what was in the way. A host's name is resolved by `dial`,
which the monitor calls for each new stream, and the address it led to is used until the next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import grpc

from qarax_server.certificates import dns_name
from qarax_server.errors import NodeUnavailable, NodeUntrusted, QaraxError
from qarax_server.models import Host
from qarax_server.nodes import addresses, credentials, handshake
from qarax_server.nodes.client import NodeClient, Patience
from qarax_server.settings import NodeTls

log = logging.getLogger(__name__)

OPTIONS = (
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 2000),
    ("grpc.max_reconnect_backoff_ms", 3000),
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.max_metadata_size", 16 * 2**10),
    ("grpc.use_local_subchannel_pool", 1),
)
NO_CERTIFICATES = f"it wants TLS, and this server has no certificates; {addresses.MAKE_THEM}"
NOT_CONFIGURED = (
    "not dialled: this server has no certificates, and node_tls.plain_text, which would allow nodes on "
    f"loopback without, is false; {addresses.MAKE_THEM}"
)


class Nodes:
    """The clients of all hosts.

    `fence` is the lease's number; `on_older_fence` is called when a node has seen a newer one.
    """

    def __init__(
        self, tls: NodeTls, silence_seconds: float = 5.0, allowed_networks: Sequence[str] = ()
    ) -> None:
        self.fence = 0
        self.on_older_fence: Callable[[], None] = lambda: None
        self._silence = silence_seconds
        self._plain_text = tls.plain_text
        self._allowed = allowed_networks
        self._own = credentials.load(tls)
        self._credentials = self._own.for_grpc() if self._own else None
        self._clients: dict[str, tuple[str, NodeClient]] = {}
        self._led: dict[str, tuple[str, addresses.Address]] = {}
        if self._own and self._own.days_left < credentials.WARN_DAYS:
            log.warning(
                "this server's certificate for nodes ends on %s: qarax-server ca issue --server, restart",
                f"{self._own.ends:%Y-%m-%d}",
            )

    def of(self, host: Host) -> NodeClient:
        """Return the client of a host's node; nothing is dialled before its first call.

        Raises:
            NodeUntrusted: its address may not be dialled.
            NodeUnavailable: its address is a name that was not resolved yet.
        """
        target = self._target(host)
        known = self._clients.get(host.id)
        if known is not None and known[0] == target:
            return known[1]
        client = NodeClient(host.name, self._channel(host, target), self, Patience(self._silence))
        self._clients[host.id] = (target, client)
        return client

    async def dial(self, host: Host) -> NodeClient:
        """Find out where a host's address leads now, and return its client.

        Raises:
            NodeUntrusted: it leads where this server may not go.
            NodeUnavailable: it leads nowhere.
        """
        if addresses.literal(host.address) is None:
            try:
                found = await addresses.resolve(host.address)
            except addresses.Unresolved as error:
                raise NodeUnavailable(str(error)) from error
            for each in found:
                self._check(host, each)
            place = await addresses.first_that_answers(found, host.port)
            if self._led.get(host.id) != (host.address, place):
                await self.reset(host.id)
            self._led[host.id] = (host.address, place)
        return self.of(host)

    async def explain(self, host: Host, error: QaraxError) -> QaraxError:
        """Return the same error, or what a look at who answers there tells of it."""
        if not isinstance(error, NodeUnavailable) or isinstance(error, NodeUntrusted):
            return error
        try:
            place = str(self._place(host))
        except NodeUnavailable:
            return error
        if self._own is None:
            return NodeUntrusted(NO_CERTIFICATES) if await handshake.wants_tls(place, host.port) else error
        found = await handshake.look(self._own, place, host.port, host.id, host.name)
        return NodeUntrusted(found) if found else error

    async def reset(self, host_id: str) -> None:
        """End a host's connection with everything that waits on it; the next call dials anew."""
        known = self._clients.pop(host_id, None)
        if known is not None:
            await known[1].channel.close()

    async def close(self) -> None:
        """End all connections."""
        for host_id in list(self._clients):
            await self.reset(host_id)

    def _place(self, host: Host) -> addresses.Address:
        known = addresses.literal(host.address)
        if known is None:
            name, known = self._led.get(host.id, ("", None))
            if known is None or name != host.address:
                raise NodeUnavailable(f"host {host.name}: {host.address} was not resolved yet")
        self._check(host, known)
        return known

    def _check(self, host: Host, found: addresses.Address) -> None:
        if self._own is None and not self._plain_text:
            raise NodeUntrusted(NOT_CONFIGURED)
        addresses.check(host.address, found, self._allowed, loopback_only=self._own is None)

    def _target(self, host: Host) -> str:
        place = self._place(host)
        return f"ipv4:{place}:{host.port}" if place.version == 4 else f"ipv6:[{place}]:{host.port}"  # noqa: PLR2004

    def _channel(self, host: Host, target: str) -> grpc.aio.Channel:
        if self._credentials is None:
            return grpc.aio.insecure_channel(target, options=OPTIONS)
        named = ("grpc.ssl_target_name_override", dns_name(host.id))
        return grpc.aio.secure_channel(target, self._credentials, options=(*OPTIONS, named))
