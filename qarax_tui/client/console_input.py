"""Who may type into a console, as it is told over its stream."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import ServerAway
from .sanitise import safe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class InputState:
    """Whether this dashboard may type, and who may if not ("" nobody).

    `asked` while a claim is not answered yet; `refused` says why one was, as a clause.
    """

    attached: bool = False
    holder: str = ""
    asked: bool = False
    refused: str = ""


def answered(before: InputState, message: Mapping[str, Any]) -> InputState:
    """What an `input` message makes of it."""
    attached, holder = message.get("attached") is True, safe(message.get("holder") or "")
    if before.asked and not attached and not holder:
        return before  # it answers the giving back in front of this claim
    refused = f"{holder} types into this console" if before.asked and not attached else ""
    return InputState(attached, holder, refused=refused)


def away() -> ServerAway:
    """What typing without a connection ends with."""
    return ServerAway("The console is not connected at the moment.", "It reconnects by itself.")


@contextmanager
def as_away() -> Iterator[None]:
    """A connection that ends under a message is one that is not there."""
    try:
        yield
    except ConnectionError as error:
        raise away() from error
