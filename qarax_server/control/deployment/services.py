"""Keeper and node under systemd: started when they do not run, restarted when what they run from changed.

The node may be restarted at any moment; the next one adopts every VM. The keeper is their parent: it stays
while a VM runs, and is replaced by a deployment that finds none.
"""

from __future__ import annotations

from qarax_server.control.deployment.machine import CommandError, sha256
from qarax_server.control.deployment.release import KEEPER_UNIT, NODE_UNIT
from qarax_server.control.deployment.steps import Outcome, Run
from qarax_server.store import deployments

STARTED = "/opt/qarax/{}.started"
JOURNAL_LINES = "30"
LOOK = (
    "see `journalctl -u qarax-node` on the host, and whether this server reaches its port; to go back, "
    "deploy the former version"
)


async def enable(run: Run) -> bool:
    """Have both start with the machine; False when they do."""
    changed = False
    for unit in (KEEPER_UNIT, NODE_UNIT):
        if (await run.machine.ask("systemctl", "is-enabled", "--quiet", unit)).status != 0:
            await run.machine.run("systemctl", "enable", unit)
            changed = True
    return changed


async def try_restart(run: Run, *units: str) -> None:
    """Restart what may refuse, and say so."""
    ended = await run.machine.ask("systemctl", "restart", *units)
    if ended.status != 0:
        last = ended.output.strip().splitlines()[-1:] or ["it said nothing"]
        run.report.say(f"  {' and '.join(units)}: {last[0]}")


async def start_keeper(run: Run) -> Outcome:
    """Start it, or leave it alone, or replace it while no VM runs."""
    wanted = run.release.keeper
    active = await _active(run, KEEPER_UNIT)
    if active and await _started_from(run, "keeper") == wanted:
        return Outcome("it runs and is not touched", changed=False)
    async with run.core.database.connection() as c:
        running = await deployments.list_running_vms(c, run.host.id)
    if active and running:
        return Outcome(
            f"it has changed, and the former one goes on because VMs run ({named(running)}): a deployment "
            "that finds none running replaces it",
            changed=False,
        )
    await _start(run, KEEPER_UNIT, "keeper", wanted)
    return Outcome("restarted: it had changed and no VM runs" if active else "started")


async def start_node(run: Run) -> Outcome:
    """Start it, or restart it when release, unit or certificate are others than those that it runs with."""
    unit = await run.machine.reads(f"/etc/systemd/system/{NODE_UNIT}") or ""
    wanted = f"{run.release.name} {sha256(unit.encode())} {run.certificate}"
    active = await _active(run, NODE_UNIT)
    if active and await _started_from(run, "node") == wanted:
        return Outcome("it runs what was deployed", changed=False)
    await run.core.nodes.reset(run.host.id)
    await _start(run, NODE_UNIT, "node", wanted)
    return Outcome("restarted; its VMs go on" if active else "started")


async def _start(run: Run, unit: str, name: str, wanted: str) -> None:
    await run.machine.run("systemctl", "daemon-reload")
    try:
        await run.machine.run("systemctl", "restart", unit)
    except CommandError as error:
        journal = await run.machine.ask("journalctl", "-u", unit, "-n", JOURNAL_LINES, "--no-pager")
        for line in journal.output.splitlines():
            run.report.say(f"  {line}")
        error.remedy = LOOK if unit == NODE_UNIT else f"see `journalctl -u {unit}` on the host"
        raise
    await run.machine.put(wanted.encode(), STARTED.format(name))


async def _active(run: Run, unit: str) -> bool:
    return (await run.machine.ask("systemctl", "is-active", "--quiet", unit)).status == 0


async def _started_from(run: Run, name: str) -> str | None:
    return await run.machine.reads(STARTED.format(name))


def named(names: list[str], most: int = 5) -> str:
    """A few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
