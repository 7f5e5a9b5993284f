"""What every decision needs at hand, put together by the composition root."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from qarax_server.control.lease import Lease
from qarax_server.control.survey import Survey
from qarax_server.control.tasks import Tasks
from qarax_server.control.together import Outcomes, Together
from qarax_server.database import Database
from qarax_server.models import Operation
from qarax_server.nodes.channels import Nodes
from qarax_server.observed import Observation
from qarax_server.settings import Settings

T = TypeVar("T")
R = TypeVar("R")
Work = Callable[["Core", Sequence[T]], Awaitable[Outcomes[R]]]


class Mine:
    """The operations that a task of this process is working on.

    `on_end` hears of each end, `on_written` of each answer (host id, observation) that was written.
    """

    def __init__(self) -> None:
        self.on_end: list[Callable[[], None]] = []
        self.on_written: list[Callable[[str, Observation], None]] = []
        self._subjects: dict[str, str] = {}

    def __contains__(self, operation_id: str) -> bool:
        return operation_id in self._subjects

    def begin(self, operation: Operation) -> None:
        """From here on nobody else settles it."""
        self._subjects[operation.id] = operation.subject_id

    @contextlib.contextmanager
    def beginning(self) -> Iterator[Callable[[Operation], None]]:
        """Begin an operation inside a transaction; should its commit fail, it is nobody's."""
        begun: list[Operation] = []

        def begin(operation: Operation) -> None:
            begun.append(operation)
            self.begin(operation)

        try:
            yield begin
        except BaseException:
            for operation in begun:
                self.end(operation)
            raise

    def end(self, operation: Operation) -> None:
        """It is settled, or left to the reconciler."""
        self._subjects.pop(operation.id, None)
        for hear in self.on_end:
            hear()

    def wrote(self, host_id: str, seen: Observation) -> None:
        """What a node answered is in the database: its stream says the same once more."""
        for hear in self.on_written:
            hear(host_id, seen)

    @contextlib.contextmanager
    def holding(self, subject_id: str) -> Iterator[None]:
        """Work on a subject without an operation: what is seen of it meanwhile waits."""
        key = f"holding {uuid.uuid4()}"
        self._subjects[key] = subject_id
        try:
            yield
        finally:
            del self._subjects[key]
            for hear in self.on_end:
                hear()

    def subjects(self) -> set[str]:
        """What is being worked on."""
        return set(self._subjects.values())


@dataclass
class Core:
    """The parts, and the work in hand.

    `cancels`: by action, who ends work that lasts when it is to end.
    `survey`: the last look at the fleet that placement took.
    """

    settings: Settings
    database: Database
    nodes: Nodes
    lease: Lease
    tasks: Tasks = field(default_factory=Tasks)
    mine: Mine = field(default_factory=Mine)
    survey: Survey | None = None
    cancels: dict[str, Callable[[Operation], Awaitable[None]]] = field(default_factory=dict)
    _together: dict[Callable[..., Any], Together[Any, Any]] = field(default_factory=dict)

    def together(self, work: Work[T, R]) -> Together[T, R]:
        """Where several requests' work of one kind is done in one transaction."""
        if work not in self._together:
            self._together[work] = Together(self.tasks, partial(work, self))
        return self._together[work]
