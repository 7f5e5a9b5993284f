"""`qarax-node`: puts the parts together, serves until SIGTERM, and leaves every guest as it is.

Next: `rpc/` for what is served, `machines/host.py` for the VMs, `keeper/` for the process beside this one.
"""

from __future__ import annotations

import asyncio
import ctypes
import dataclasses
import errno
import gc
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

import grpc
from qarax_proto import node_pb2_grpc

from qarax_node import logs, service_manager, settings
from qarax_node.console.consoles import Consoles
from qarax_node.drivers.cloud_hypervisor.driver import CloudHypervisorDriver
from qarax_node.drivers.qemu.driver import QemuDriver
from qarax_node.drivers.registry import Registry
from qarax_node.drivers.simulated import SimulatedDriver
from qarax_node.keeper_client import KeeperClient
from qarax_node.machines.host import Host
from qarax_node.rpc.errors import request_id
from qarax_node.rpc.identity import ControlPlaneOnly, check_listener, credentials
from qarax_node.rpc.storage import StorageCalls

if TYPE_CHECKING:
    from pathlib import Path

    from qarax_node.drivers.base import Driver, Notify, Observation
    from qarax_node.settings import Settings

LOGGER = logging.getLogger(__name__)
DRAIN_SECONDS = 8.0
LEAVE_SECONDS = 1.0
LARGEST_MESSAGE = 16 << 20
M_ARENA_MAX, MOST_HEAPS = -8, 2
MOST_CALLS = 4096
"""At once, streams included; the server has one connection and the next call is refused."""
OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.max_concurrent_streams", MOST_CALLS),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 15_000),  # else a peer that vanished is held for 80 s
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)


class Node:
    """One served node."""

    def __init__(self, given: Settings) -> None:
        self.settings = given
        self.consoles = Consoles()
        simulated = given.drivers == ("simulated",)
        self.keeper = None if simulated else KeeperClient(given.keeper_socket)
        registry = Registry(self._drivers(), given.stand_in)
        self.host = Host(given, registry, self.keeper)
        self.calls = StorageCalls(self.host, self.consoles)
        guards = [ControlPlaneOnly()] if given.tls_directory else []
        self.server = grpc.aio.server(
            options=OPTIONS, interceptors=guards, maximum_concurrent_rpcs=MOST_CALLS
        )
        node_pb2_grpc.add_NodeServicer_to_server(self.calls, self.server)
        self.host.on_removed = self.consoles.ended
        if self.keeper is not None:
            self.keeper.on_console.append(lambda grown: self.consoles.grew(grown.vm_id))
            self.keeper.on_detached.append(self.host.console_lost)
            self.keeper.on_connected.append(self.consoles.wake_all)

    def _drivers(self) -> list[Driver]:
        given, wanted = self.settings, self.settings.drivers
        made: list[Driver] = []
        if self.keeper is not None and (not wanted or "cloud_hypervisor" in wanted):
            made.append(
                CloudHypervisorDriver(
                    self.keeper,
                    self._notify,
                    binary=given.cloud_hypervisor_binary,
                    chosen="cloud_hypervisor" in wanted,
                    landlock=given.landlock,
                )
            )
        if self.keeper is not None and (not wanted or "qemu" in wanted or given.stand_in == "qemu"):
            made.append(
                QemuDriver(self.keeper, self._notify, binary=given.qemu_binary, accelerator=given.accelerator)
            )
        if "simulated" in wanted:
            made.append(self._simulated(self._notify))
        return made

    def _simulated(self, notify: Notify) -> SimulatedDriver:
        driver = SimulatedDriver(self.settings, notify)
        driver.on_console = self.consoles.grew
        return driver

    def _notify(self, vm_id: str, observation: Observation) -> None:
        self.host.noticed(vm_id, observation)

    async def start(self) -> None:
        """Find the VMs, then serve. Raises OSError when the port is taken."""
        self._listen()
        await self.host.load()
        await self.server.start()

    def _listen(self) -> None:
        given = self.settings
        check_listener(given.host, given.tls_directory)
        address = f"[{given.host}]:{given.port}" if ":" in given.host else f"{given.host}:{given.port}"
        fit = credentials(given.tls_directory) if given.tls_directory else None
        try:
            bound = (
                self.server.add_secure_port(address, fit) if fit else self.server.add_insecure_port(address)
            )
        except RuntimeError:
            bound = 0
        if bound == 0:
            raise OSError(
                errno.EADDRINUSE, f"cannot listen on {address}: is another qarax-node running there?"
            )

    async def stop(self) -> None:
        """Refuse new changes, let running ones end for a while, touch no guest."""
        self.calls.draining = True
        self.host.watchers.touch("")
        await self.host.close(DRAIN_SECONDS)
        await self.server.stop(LEAVE_SECONDS)


def _simulated_hosts(given: Settings) -> list[Settings]:
    """The settings of each simulated host: a port, a directory and a certificate of its own."""
    folders: list[Path | None] = [None] * given.simulated_hosts
    if given.tls_directory:
        folders = [*sorted(path for path in given.tls_directory.iterdir() if path.is_dir())]
    if len(folders) < given.simulated_hosts:
        raise OSError(f"{given.tls_directory} has certificates for {len(folders)} hosts alone")
    return [
        dataclasses.replace(
            given,
            port=given.port + number,
            tls_directory=folders[number],
            runtime_dir=given.runtime_dir / f"simulated-{number}",
            drivers=("simulated",),
        )
        for number in range(given.simulated_hosts)
    ]


async def serve(given: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    nodes: list[Node] = []
    try:
        for one in _simulated_hosts(given) if given.simulated_hosts else [given]:
            one.runtime_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            nodes.append(Node(one))
            await nodes[-1].start()
        ports = f"{given.port}" if len(nodes) == 1 else f"{given.port} to {given.port + len(nodes) - 1}"
        LOGGER.info("serving on %s port %s, state in %s", given.host, ports, given.runtime_dir)
        gc.freeze()  # what is there for good is not looked through for garbage, which then goes sooner
        service_manager.notify("READY=1")
        alive = asyncio.create_task(service_manager.keep_alive())
        await stopping.wait()
        alive.cancel()
        service_manager.notify("STOPPING=1")
        LOGGER.info("stopping; every guest stays")
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))


def _share_heaps() -> None:
    """Have threads share the C library's heaps (mallopt(3)): gRPC's come and go, and each left one behind."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc alone has it, and the habit
    if mallopt is not None:
        mallopt(M_ARENA_MAX, MOST_HEAPS)


def main() -> None:
    """The program `qarax-node`."""
    os.umask(0o077)
    _share_heaps()
    given = settings.parse()
    logs.set_up(given.log_format, request_id.get)
    try:
        asyncio.run(serve(given))
    except OSError as error:
        sys.exit(f"qarax-node: {error.strerror or error}{f' ({error.filename})' if error.filename else ''}")


if __name__ == "__main__":
    main()
