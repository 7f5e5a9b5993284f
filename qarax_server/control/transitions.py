"""What may be done to a VM from which status: one table, no I/O.

    created ──start──> running ──pause──> paused ──resume──> running
    running | paused | unknown ──stop──> shutdown ──start──> running
    running ──reboot──> running
    any ──delete──> (gone)

An action whose result is already there succeeds without doing anything. `delete` takes over whatever runs,
and so does `stop` without grace during a stop. `lifecycle` obeys this table through the claim.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Action:
    """One row: from which statuses, in which it has already happened, and what a bystander reads."""

    name: str
    allowed: frozenset[str]
    already: frozenset[str]
    done: str


def _action(name: str, allowed: str, already: str, done: str) -> Action:
    return Action(name, frozenset(allowed.split()), frozenset(already.split()), done)


ACTIONS = {
    action.name: action
    for action in (
        _action("start", "created shutdown", "running", "is running"),
        _action("stop", "running paused unknown", "shutdown", "is shut down"),
        _action("pause", "running", "paused", "is paused"),
        _action("resume", "paused", "running", "goes on"),
        _action("reboot", "running", "", "rebooted"),
        _action("delete", "unknown created running paused shutdown", "", "was deleted"),
    )
}

HINTS = {
    ("start", "paused"): "resume it instead",
    ("stop", "created"): "it was never started",
    ("pause", "created"): "start it first",
    ("pause", "shutdown"): "start it first",
    ("resume", "created"): "start it first",
    ("resume", "shutdown"): "start it first",
    ("reboot", "paused"): "resume it first",
    ("reboot", "created"): "start it first",
    ("reboot", "shutdown"): "start it instead",
}


def refusal(action: str, status: str) -> str:
    """Say why an action cannot happen from a status; empty when it can, or already has."""
    row = ACTIONS[action]
    if status in row.allowed or status in row.already:
        return ""
    hint = HINTS.get((action, status))
    return f"cannot {action} a VM that is {status}" + (f": {hint}" if hint else "")


def is_done(action: str, status: str) -> bool:
    """Tell whether an action has already happened."""
    return status in ACTIONS[action].already
