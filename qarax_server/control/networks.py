"""Which addresses may be given to a host: where they lead is looked at when they are given.

It is looked at again at each connection (`nodes/addresses.py`), which then goes where that look led. The same
rule holds for downloads, where the node resolves, pins and checks each redirect again.
"""

from __future__ import annotations

from collections.abc import Sequence

from qarax_server.errors import Invalid
from qarax_server.nodes import addresses


async def check_address(address: str, allowed: Sequence[str]) -> None:
    """Refuse a host's address that this server would not dial.

    Raises:
        Invalid: it leads outside `allowed`, or nobody knows where it leads.
    """
    if not allowed and addresses.literal(address) is None:
        return
    try:
        found = await addresses.resolve(address)
    except addresses.Unresolved as error:
        raise _refused(f"{error}, so it cannot be held against application.allowed_networks") from error
    for each in found:
        if sentence := addresses.why_not(address, each, allowed):
            raise _refused(sentence)


def _refused(sentence: str) -> Invalid:
    return Invalid(sentence, code="address_not_allowed", errors={"address": [sentence]})
