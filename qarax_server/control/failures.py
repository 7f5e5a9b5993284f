"""How often an address may fail to identify itself: so many times, then not until the minute is over.

Memory is bounded: of more addresses than `MOST_ADDRESSES` the one that failed longest ago is forgotten. An
IPv6 address counts as its /64, which is what one customer has.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

MOST_ADDRESSES = 4096
MINUTE = 60.0


class Failures:
    """Failures per address and minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def note(self, address: str) -> None:
        """Count a failure."""
        place, now = _network(address), self._clock()
        began, count = self._seen.pop(place, (now, 0))
        self._seen[place] = (began, count + 1) if now - began < MINUTE else (now, 1)
        if len(self._seen) > MOST_ADDRESSES:
            self._seen.popitem(last=False)

    def seconds_to_wait(self, address: str, per_minute: int) -> int:
        """How long an address that failed `per_minute` times has to wait; 0: not at all."""
        began, count = self._seen.get(_network(address), (0.0, 0))
        left = began + MINUTE - self._clock()
        return math.ceil(left) if count >= per_minute and left > 0 else 0


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "elsewhere"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address
