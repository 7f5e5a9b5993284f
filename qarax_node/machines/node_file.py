"""What the node remembers of itself in `node.json`: its id and the newest fencing number."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import logging
import os
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qarax_node import files
from qarax_node.errors import NodeError

if TYPE_CHECKING:
    from pathlib import Path

LOGGER = logging.getLogger(__name__)
STARTS_SHIFT = 32
UPPER_HALF = 1 << (STARTS_SHIFT - 1)


@dataclass
class Facts:
    """`starts` counts the starts that were kept, so that generations grow over restarts."""

    node_id: str = ""
    fence: int = 0
    starts: int = 0


class NodeFile:
    """`node.json`; a directory that cannot be written makes the node degraded, not dead.

    `generation` is where those of this start begin.
    """

    def __init__(self, runtime_dir: Path) -> None:
        self._path = runtime_dir / "node.json"
        self._dir = runtime_dir
        kept = files.read_json(self._path) or {}
        known = {field.name for field in dataclasses.fields(Facts)}
        self.facts = Facts(**{name: value for name, value in kept.items() if name in known})
        self.degraded = ""
        self.generation = 0
        self._lock = -1

    def begin(self) -> None:
        """Take the directory, count a start, make the node's id the first time. Raises OSError when taken.

        A start that cannot be kept is not counted: the next one would count it again, and its generations
        would be those of this one. They go on in the upper half of the last one's, by the time since boot.
        """
        self._take()
        self.facts.starts += 1
        self.facts.node_id = self.facts.node_id or str(uuid.uuid4())
        self.generation = self.facts.starts << STARTS_SHIFT
        if not self.save():
            self.facts.starts -= 1
            milliseconds = int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)
            self.generation = (self.facts.starts << STARTS_SHIFT) + UPPER_HALF + milliseconds % UPPER_HALF

    def _take(self) -> None:
        try:
            self._lock = os.open(self._dir / "node.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(errno.EBUSY, "another qarax-node uses this directory", str(self._dir)) from None
        except OSError as error:
            LOGGER.warning("%s is not locked: %s", self._dir, error.strerror)

    def close(self) -> None:
        """Give the directory back."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def save(self) -> bool:
        """Write it; on failure the node is degraded from now on."""
        try:
            files.write_json(self._path, dataclasses.asdict(self.facts))
        except OSError as error:
            self.degraded = (
                f"the runtime directory {self._dir} cannot be written ({error.strerror}): this node serves "
                "reads and refuses changes; make room or make it writable"
            )
            return False
        self.degraded = ""
        return True

    def require_writable(self) -> None:
        """Refuse a change while nothing can be kept; tries again first."""
        if self.degraded and not self.save():
            raise NodeError(self.degraded, code="node_degraded", kind="unavailable")

    def note_fence(self, number: int) -> None:
        """Remember a newer server that only looks, kept or not."""
        if number > self.facts.fence:
            self.facts.fence = number
            self.save()

    def check_fence(self, number: int) -> None:
        """Refuse an older server; remember a newer one before anything is done for it."""
        if number < self.facts.fence:
            raise NodeError(
                f"fencing number {number} is older than {self.facts.fence}: another server took over",
                code="fenced",
                kind="fenced",
            )
        self.require_writable()
        if number > self.facts.fence:
            self.facts.fence = number
            if not self.save():
                raise NodeError(self.degraded, code="node_degraded", kind="unavailable")
