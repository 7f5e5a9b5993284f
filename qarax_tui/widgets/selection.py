"""The cursor and the marks of a list, held by identity: they follow their objects and never slide to another.

When the object under the cursor leaves the list the cursor is on nothing until the operator moves it, or
until the object comes back. Nothing here knows about the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


class Selection:
    """`cursor` is an id or None; `place` is where it is, or where the lost one was."""

    def __init__(self) -> None:
        self.rows: Sequence[str] = ()
        self.cursor: str | None = None
        self.place = 0
        self._lost: str | None = None
        self._marks: dict[str, None] = {}
        self._marked: tuple[str, ...] | None = None

    @property
    def marked(self) -> frozenset[str]:
        """Marked ids that are in the list; marks on hidden rows wait for them."""
        return frozenset(self._marked_rows())

    def is_marked(self, row: str) -> bool:
        """Whether this row is marked."""
        return row in self._marks

    def targets(self) -> tuple[str, ...]:
        """What an action acts on: the marked rows in order, else the one under the cursor, else nothing."""
        return self._marked_rows() or (() if self.cursor is None else (self.cursor,))

    def _marked_rows(self) -> tuple[str, ...]:
        """The marked ids in the order of the list, looked for once until either changes."""
        if self._marked is None:
            marks = self._marks
            self._marked = tuple(row for row in self.rows if row in marks) if marks else ()
        return self._marked

    def replace(self, rows: Sequence[str], exists: Callable[[str], bool]) -> None:
        """Another order or content; `exists` tells a hidden object from one that is gone."""
        first_ever = self.cursor is None and self._lost is None
        self.rows, self._marked = rows, None
        wanted = self.cursor or self._lost
        if first_ever:
            self._go(0)
        elif wanted is not None:
            self._find(wanted)
        for gone in [mark for mark in self._marks if not exists(mark)]:
            del self._marks[gone]

    def move(self, by: int) -> None:
        """Up or down; from a lost object on, the rows around its place are the next ones."""
        if self.cursor is None and by > 0:
            by -= 1
        self._go(self.place + by)

    def move_to_place(self, place: int) -> None:
        """To the row at this place, or the nearest there is."""
        self._go(place)

    def move_to(self, row: str) -> bool:
        """To this id; False when it is not in the list."""
        if row not in self.rows:
            return False
        self._go(self.rows.index(row))
        return True

    def toggle(self, row: str) -> None:
        """Marks or unmarks."""
        self._marked = None
        if row in self._marks:
            del self._marks[row]
        else:
            self._marks[row] = None

    def mark_all(self) -> None:
        """Marks every row of the list."""
        self._marked = None
        self._marks.update(dict.fromkeys(self.rows))

    def clear_marks(self) -> None:
        """No marks, hidden ones included."""
        self._marked = None
        self._marks.clear()

    def _go(self, place: int) -> None:
        if not self.rows:
            return
        self.place = max(0, min(len(self.rows) - 1, place))
        self.cursor, self._lost = self.rows[self.place], None

    def _find(self, wanted: str) -> None:
        try:
            self.place = self.rows.index(wanted)
        except ValueError:
            self.cursor, self._lost = None, wanted
            self.place = min(self.place, len(self.rows))
        else:
            self.cursor, self._lost = wanted, None
