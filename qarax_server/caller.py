"""Who is behind what happens now: the actor and request id of events, operations, logs and node calls.

A context variable, because every task started for a request inherits it: the API's middleware sets it once.
Outside a request (monitor, reconciler) it is the server itself.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """An actor (a token's name, `local`, or `qarax-server`) and the id of its request."""

    actor: str
    request_id: str


SERVER = Caller("qarax-server", "-")

_current: ContextVar[Caller] = ContextVar("caller", default=SERVER)


def current() -> Caller:
    """Return the caller of the running task."""
    return _current.get()


def become(caller: Caller) -> None:
    """Make the running task, and the tasks it starts from here on, act for this caller."""
    _current.set(caller)
