"""What differed since a screen last looked: sets of ids per noun, merged until they are taken.

The fleet puts changes in, `Fleet.watch` takes them out in batches; a slow screen gets one bigger batch.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict


class Changes:
    """One batch. `connection` and `events` say whether those differ too."""

    def __init__(self) -> None:
        self.connection = False
        self.events = False
        self._changed: defaultdict[str, set[str]] = defaultdict(set)
        self._removed: defaultdict[str, set[str]] = defaultdict(set)
        self._reset: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self.connection or self.events or self._changed or self._removed or self._reset)

    def changed(self, noun: str) -> frozenset[str]:
        """Ids that were added or whose record differs."""
        return frozenset(self._changed.get(noun, ()))

    def removed(self, noun: str) -> frozenset[str]:
        """Ids that are gone."""
        return frozenset(self._removed.get(noun, ()))

    def reset(self, noun: str) -> bool:
        """Everything of this noun may differ; the ids above are then not complete."""
        return noun in self._reset

    def touches(self, *nouns: str) -> bool:
        """Whether any of these nouns differs at all."""
        return any(noun in kept for kept in (self._changed, self._removed, self._reset) for noun in nouns)

    def note_changed(self, noun: str, identifier: str) -> None:
        self._changed[noun].add(identifier)
        if noun in self._removed:
            self._removed[noun].discard(identifier)

    def note_removed(self, noun: str, identifier: str) -> None:
        self._removed[noun].add(identifier)
        if noun in self._changed:
            self._changed[noun].discard(identifier)

    def note_reset(self, noun: str) -> None:
        self._reset.add(noun)


class Pending:
    """The changes one watcher has not taken yet."""

    def __init__(self) -> None:
        self.changes = Changes()
        self._some = asyncio.Event()

    def wake(self) -> None:
        """Something was noted in `changes`."""
        self._some.set()

    async def take(self) -> Changes:
        """Waits until there is something, and hands it over."""
        await self._some.wait()
        self._some.clear()
        taken, self.changes = self.changes, Changes()
        return taken
