"""QEMU as a process: spawned through the keeper with its sockets listening already, its last words, its end.

The sockets are bound here and handed over, so that a connect succeeds at once and a QEMU that refuses its
arguments is seen as the end of the connection. Their names are relative for QEMU and short for the kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from typing import TYPE_CHECKING

from qarax_node import processes
from qarax_node.drivers.base import DriverError
from qarax_node.drivers.qemu import client
from qarax_node.keeper_client import KeeperError, KeeperUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qarax_node.drivers.base import MachineSpec
    from qarax_node.keeper_client import KeeperClient, KeeperExit
    from qarax_node.processes import Process

LOGGER = logging.getLogger(__name__)
SERIAL_SOCKET = "serial.sock"
LOG = "vmm.log"
BACKLOG = 4
DEATH_SECONDS = 5.0
MOST_WORDS = 600
PROGRAM = "qemu-system-x86_64: "


async def spawn(keeper: KeeperClient, spec: MachineSpec, argv: Sequence[str]) -> Process:
    """Start QEMU in the VM's directory with its two sockets and its macvtap descriptors, in this order."""
    macvtaps = [fd for network in spec.networks for fd in network.macvtap_fds]
    with contextlib.ExitStack() as stack:
        try:
            sockets = [
                stack.enter_context(_listen(spec.directory, name)) for name in (client.SOCKET, SERIAL_SOCKET)
            ]
        except OSError as error:
            raise DriverError(
                f"the VM's directory {spec.directory} does not take its sockets: {error.strerror}",
                code="directory_unusable",
                kind="unavailable",
            ) from error
        fds = [*(listening.fileno() for listening in sockets), *macvtaps]
        try:
            return await keeper.spawn(spec.vm_id, argv, cwd=spec.directory, log=spec.directory / LOG, fds=fds)
        except KeeperError as error:
            raise keeper_failure(error) from error


def keeper_failure(error: KeeperError) -> DriverError:
    """What a refusal of the keeper is to the caller."""
    if isinstance(error, KeeperUnavailableError):
        return DriverError(str(error), code=error.code, kind="unavailable")
    return DriverError(
        str(error), code=error.code, kind="state" if error.code == "running" else "unavailable"
    )


async def kill(keeper: KeeperClient, vm_id: str, process: Process) -> None:
    """End this very process and wait until the keeper has noticed, so that the VM can be started again."""
    noticed = asyncio.Event()

    def hear(ended: KeeperExit) -> None:
        if ended.pid == process.pid:
            noticed.set()

    keeper.on_exit.append(hear)
    try:
        processes.send_signal(process, signal.SIGKILL)
        if any(entry.vm_id == vm_id and entry.running for entry in await keeper.entries()):
            await asyncio.wait_for(noticed.wait(), DEATH_SECONDS)
    except (KeeperError, TimeoutError) as error:
        LOGGER.warning("VM %s: the end of pid %d is not confirmed: %s", vm_id, process.pid, error)
    finally:
        keeper.on_exit.remove(hear)


def log_size(directory: Path) -> int:
    """Where the log ends now: what a QEMU started next says comes after it."""
    try:
        return (directory / LOG).stat().st_size
    except FileNotFoundError:
        return 0


def last_words(directory: Path, since: int = 0) -> str:
    """What QEMU wrote after `since`, in one line, its end when it is long; empty when it said nothing."""
    try:
        with (directory / LOG).open("rb") as log:
            log.seek(max(since, log_size(directory) - MOST_WORDS))
            lines = log.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "; ".join(line.strip().removeprefix(PROGRAM) for line in lines if line.strip())


def remove_sockets(directory: Path) -> None:
    """Nobody listens behind them any more."""
    for name in (client.SOCKET, SERIAL_SOCKET):
        (directory / name).unlink(missing_ok=True)


def _listen(directory: Path, name: str) -> socket.socket:
    """Bind through the directory's descriptor: the whole path may exceed the 107 bytes of sun_path."""
    (directory / name).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    descriptor = -1
    try:
        descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        listening.bind(f"/proc/self/fd/{descriptor}/{name}")
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return listening
