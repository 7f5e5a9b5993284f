"""The VMM's process: its command line and files, spawned through the keeper, watched and killed by pidfd.

Its working directory is the VM's directory and its sockets have relative names there, so that no path meets
the 107-byte limit; the log's absolute path carries the VM's id on the command line.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import time
from typing import TYPE_CHECKING

from qarax_node.drivers.base import DriverError
from qarax_node.drivers.cloud_hypervisor import client, events
from qarax_node.keeper_client import KeeperError, KeeperUnavailableError
from qarax_node.processes import Process, send_signal, wait_gone

if TYPE_CHECKING:
    from pathlib import Path

    from qarax_node.drivers.base import MachineSpec
    from qarax_node.keeper_client import KeeperClient

SERIAL = "serial.sock"
LOG = "vmm.log"
OUTPUT = "vmm.out"
ENDING = "ending.json"
LEFTOVERS = (SERIAL, events.FILE, events.HISTORY, LOG, OUTPUT, ENDING)
SOCKETS = (SERIAL, client.SOCKET, f"{client.SOCKET}.lock")
READY_SECONDS = 20.0
KILL_SECONDS = 10.0
HEADINGS = ("following error:", "chain of errors:")
PANIC = re.compile(r"panicked at .*:\n(.+)")
SHORTEST_PAUSE, LONGEST_PAUSE = 0.001, 0.1
PAUSES = 20


def command_line(binary: str, directory: Path) -> list[str]:
    """An API-only start. Seccomp keeps its default, on; a guest's poweroff leaves the VMM to be asked why."""
    return [
        binary,
        "--api-socket",
        f"path={client.SOCKET}",
        "--event-monitor",
        f"path={events.FILE}",
        "--log-file",
        str(directory / LOG),
        "-v",
        "--no-shutdown",
    ]


async def spawn(binary: str, spec: MachineSpec, keeper: KeeperClient) -> Process:
    """Clear what an earlier VMM left and start one. Raises DriverError."""
    directory = spec.directory
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in LEFTOVERS:
            (directory / name).unlink(missing_ok=True)
    except OSError as error:
        raise DriverError(
            f"the VM's directory {directory} cannot be prepared: {error.strerror}",
            code="directory_unusable",
            kind="exhausted",
        ) from error
    try:
        argv = command_line(binary, directory)
        return await keeper.spawn(spec.vm_id, argv, cwd=directory, log=directory / OUTPUT)
    except KeeperUnavailableError as error:
        raise DriverError(str(error), code=error.code, kind="unavailable") from error
    except KeeperError as error:
        kind = "state" if error.code == "running" else "unavailable"
        raise DriverError(str(error), code=error.code, kind=kind) from error


async def wait_ready(process: Process, api: client.Client, directory: Path) -> None:
    """Wait until the API answers a ping. Raises DriverError when the VMM ends first or takes too long."""
    ended = asyncio.create_task(wait_gone(process))
    answers = asyncio.create_task(_until_answered(api))
    try:
        await asyncio.wait({ended, answers}, timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if answers.done():
            answers.result()
        elif ended.done():
            raise ended_early(directory)
        else:
            raise DriverError(
                f"Cloud Hypervisor did not answer within {READY_SECONDS:g} s of its start",
                code="vmm_timeout",
                kind="timeout",
            )
    finally:
        for task in (ended, answers):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, DriverError):
                await task


async def _until_answered(api: client.Client) -> None:
    """There is no event for "the socket listens": connect until it does, then ping."""
    began = time.monotonic()
    while True:
        try:
            await api.get("vmm.ping", READY_SECONDS)
        except client.AbsentError:
            waited = time.monotonic() - began
            await asyncio.sleep(min(max(SHORTEST_PAUSE, waited / PAUSES), LONGEST_PAUSE))
        except (client.UnansweredError, client.RefusedError) as error:
            raise DriverError(
                f"Cloud Hypervisor did not answer its first ping: {error}", code="vmm_timeout", kind="timeout"
            ) from error
        else:
            return


def ended_early(directory: Path) -> DriverError:
    """A VMM that was gone before its VM ran, in its own last words."""
    words = last_words(directory / OUTPUT) or "it said nothing; the kernel's log names one killed for memory"
    return DriverError(f"Cloud Hypervisor ended at its start: {words}", code="vmm_ended", kind="unavailable")


async def kill(process: Process) -> None:
    """SIGKILL this very process and wait until it is gone. Raises DriverError when it will not go."""
    send_signal(process, signal.SIGKILL)
    if not await wait_gone(process, KILL_SECONDS):
        raise DriverError(
            f"the VMM (pid {process.pid}) did not go within {KILL_SECONDS:g} s of SIGKILL: it is stuck in "
            "the kernel, perhaps on storage that does not answer",
            code="vmm_stuck",
            kind="timeout",
        )


def remove_sockets(directory: Path) -> None:
    """What a VMM that is gone leaves behind; its lock file may go once nobody can hold it."""
    for name in SOCKETS:
        (directory / name).unlink(missing_ok=True)


def last_words(path: Path, limit: int = 4096) -> str:
    """The last of a VMM's output as one sentence: its chain of errors without numbers, why it panicked."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - limit))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    before, _, chain = text.rpartition("Error: ")
    lines = [line.strip() for line in chain.splitlines() if line.strip()]
    causes = [line.partition(": ")[2] if line[:1].isdigit() else line for line in lines]
    causes += PANIC.findall(before)[-1:]
    return ": ".join(cause for cause in causes if not cause.endswith(HEADINGS))
