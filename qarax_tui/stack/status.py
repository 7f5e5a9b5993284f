"""`qarax status`: what runs, where it answers, where its logs are."""

from __future__ import annotations

from typing import Any

from qarax_tui.stack import machines, services
from qarax_tui.stack import postgres as database
from qarax_tui.stack.answering import answers_ok
from qarax_tui.stack.state import StateDirectory

NAMES = (database.NAME, services.KEEPER, services.NODE, services.SIMULATED, services.SERVER)


def status(state: StateDirectory) -> dict[str, Any]:
    """`{ready, server_url, swagger_url, driver, stand_in, reason, state_dir, processes, vms_running}`."""
    facts = state.read_facts()
    listed = []
    for name in NAMES:
        record = state.record(name)
        if record is None and name == services.SIMULATED:
            continue
        listed.append(
            {
                "name": name,
                "running": record is not None,
                "pid": record.pid if record else None,
                "port": record.port if record else None,
                "log": str(state.log(name)),
            }
        )
    url = facts.get("server_url")
    return {
        "ready": bool(url) and answers_ok(f"{url}/readyz"),
        "server_url": url,
        "swagger_url": facts.get("swagger_url"),
        "driver": facts.get("driver"),
        "stand_in": facts.get("stand_in"),
        "reason": facts.get("reason"),
        "state_dir": str(state.path),
        "processes": listed,
        "vms_running": len(machines.running_vms(state)),
    }
