"""Whether the dashboard hears the control plane, since when, and how old what it shows is."""

from __future__ import annotations

import random
import time
from typing import Literal

State = Literal["connecting", "loading", "live", "away"]

FIRST_DELAY = 0.1
LONGEST_DELAY = 1.5


class Connection:
    """`state`: connecting (never heard yet), loading (lists are coming), live, away (shows what was known).

    `sentence` and `fix` say why it is away; `since` is when the state began (Unix seconds).
    """

    def __init__(self) -> None:
        self.state: State = "connecting"
        self.sentence = ""
        self.fix = ""
        self.since = time.time()
        self._heard_at: float | None = None

    @property
    def age(self) -> float | None:
        """Seconds since anything was heard, heartbeats included; None when nothing ever was."""
        return None if self._heard_at is None else time.monotonic() - self._heard_at

    def heard(self) -> None:
        """Bytes came from the server."""
        self._heard_at = time.monotonic()

    def become(self, state: State, sentence: str = "", fix: str = "") -> bool:
        """Enters a state; False when nothing an operator could see differs."""
        if (state, sentence, fix) == (self.state, self.sentence, self.fix):
            return False
        if state != self.state:
            self.since = time.time()
        self.state, self.sentence, self.fix = state, sentence, fix
        return True


class Backoff:
    """Delays before the next try: doubling, jittered, never long enough to keep an operator waiting."""

    def __init__(self) -> None:
        self._delay = FIRST_DELAY

    def succeeded(self) -> None:
        """The next delay is short again."""
        self._delay = FIRST_DELAY

    def next(self) -> float:
        """Seconds to wait now."""
        delay, self._delay = self._delay, min(LONGEST_DELAY, self._delay * 2)
        return delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads clients, guards nothing
