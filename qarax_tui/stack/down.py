"""`qarax down`: stops the control plane in the reverse order of its start, and VMs only when asked to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from qarax_tui.client.api import Api
from qarax_tui.client.errors import ClientError
from qarax_tui.client.settings import load_settings
from qarax_tui.stack import machines, processes, services
from qarax_tui.stack import postgres as database
from qarax_tui.stack.errors import StackError
from qarax_tui.stack.state import StateDirectory

Say = Callable[[str], None]
ORDER = (services.SERVER, services.SIMULATED, services.NODE, services.KEEPER, database.NAME)
STOP_GRACE_SECONDS = 10
STOPS_AT_ONCE = 8


@dataclass(frozen=True)
class Outcome:
    """`stopped`: names of processes; `vms_left`: how many VMs go on; with them the keeper does."""

    stopped: list[str]
    vms_left: int


def down(state: StateDirectory, *, vms: bool, say: Say) -> Outcome:
    """Stop everything that runs; with `vms` also the VMs, by their power button first.

    Raises:
        StackError: a process that does not end even when killed.
    """
    if not state.path.is_dir():
        return Outcome([], 0)
    with state.locked():
        if vms:
            _stop_vms(state, say)
        left = len(machines.running_vms(state))
        stopped = [
            name for name in ORDER if not (name == services.KEEPER and left) and _stop(state, name, say)
        ]
        (state.path / "control-plane.json").unlink(missing_ok=True)
    return Outcome(stopped, left)


def _stop(state: StateDirectory, name: str, say: Say) -> bool:
    record = state.record(name)
    if record is None:
        return False
    say(f"stopping {name}")
    signals = database.FAST_THEN_FORCED if name == database.NAME else None
    if not processes.stop(record, signals=signals):
        raise StackError(
            f"{name} (pid {record.pid}) does not end, not even when killed; its log is {record.log}."
        )
    state.drop(name)
    return True


def _stop_vms(state: StateDirectory, say: Say) -> None:
    running = machines.running_vms(state)
    if not running:
        return
    url = state.read_facts().get("server_url")
    if url and state.record(services.SERVER):
        say(f"stopping VMs ({len(running)}): power button, then by force after {STOP_GRACE_SECONDS} s")
        asyncio.run(_ask_to_stop(str(url), {record.name for record in running}, say))
    for record in machines.running_vms(state):
        say(f"ending the VM {record.name} (pid {record.pid})")
        processes.stop(record)


async def _ask_to_stop(url: str, wanted: set[str], say: Say) -> None:
    """Stop by REST, a few at a time; a refusal is said and left to the signals."""
    turn = asyncio.Semaphore(STOPS_AT_ONCE)
    async with Api(url, load_settings(url).token) as api:

        async def stop(vm_id: str) -> None:
            async with turn:
                try:
                    await api.stop_vm(vm_id, grace=STOP_GRACE_SECONDS)
                except ClientError as error:
                    say(f"{vm_id}: {error.sentence}")

        await asyncio.gather(*(stop(vm_id) for vm_id in wanted))
