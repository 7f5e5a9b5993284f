"""What the operator did, in words such as `start web-1`, out of a request and what its ids are known as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qarax_tui.client.records import NOUNS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qarax_tui.client.fleet import Fleet
    from qarax_tui.client.transport import OwnAction

_VERBS: Final[Mapping[str, str]] = {"PATCH": "change", "DELETE": "delete", "PUT": "change"}
_MADE: Final[Mapping[str, str]] = {
    "vms": "create vm", "hosts": "register host", "storage-pools": "create pool", "disks": "make disk",
    "storage-objects": "register object", "boot-sources": "create boot source", "transfers": "transfer",
}  # fmt: skip
_HARD: Final[Mapping[str, str]] = {"grace=0": "force off", "force=true": "force delete"}


def words(action: OwnAction, fleet: Fleet) -> str:
    """As an operator would say it; an object that nothing is known of any more is called by its id."""
    path, _, query = action.path.partition("?")
    parts = path.strip("/").split("/")
    last = parts[-1]
    if action.method == "POST" and last in _MADE:
        return f"{_MADE[last]} {action.name}".rstrip()
    verb, identifier = (last, parts[-2]) if action.method == "POST" else (_VERBS[action.method], last)
    return f"{_HARD.get(query, verb)} {_named(identifier, fleet)}"


def _named(identifier: str, fleet: Fleet) -> str:
    for noun in NOUNS:
        record = fleet.records(noun).get(identifier)
        if record is not None:
            return f"{record.action} of {record.subject_name}" if noun == "operation" else str(record.name)
    told = [event.subject_name for event in fleet.events_of(identifier) if event.subject_name]
    return told[-1] if told else identifier[:8]
