"""The thread that is the machine: its serial port and its guest, on timers and descriptors, asleep otherwise.

The VMM's loop talks to it by `call`, it talks back by `post` (a word into `server.Loop`).
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Machine(threading.Thread):
    """A loop of timers, descriptors and calls. `on_idle` runs when there is nothing else, while it is set."""

    def __init__(self) -> None:
        super().__init__(name="machine", daemon=True)
        self.epoll = select.epoll()
        self.callbacks: dict[int, Callable[[int], None]] = {}
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.numbers = itertools.count()
        self.calls: deque[Callable[[], None]] = deque()
        self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.on_idle: Callable[[], bool] | None = None
        self.paused_at: float | None = None
        self.stopping = False
        self.watch(self.wake, select.EPOLLIN, self._woken)

    # -- from any thread ---------------------------------------------------------------------------------

    def call(self, function: Callable[[], None]) -> None:
        """Run a function in the machine's thread."""
        self.calls.append(function)
        os.eventfd_write(self.wake, 1)

    def stop(self) -> None:
        """End the thread and wait for its end."""
        self.call(self._stop)
        if self.is_alive():
            self.join()
        self.epoll.close()
        os.close(self.wake)

    # -- from the machine's thread -----------------------------------------------------------------------

    def watch(self, descriptor: int, events: int, callback: Callable[[int], None]) -> None:
        if descriptor in self.callbacks:
            self.epoll.modify(descriptor, events)
        else:
            self.epoll.register(descriptor, events)
        self.callbacks[descriptor] = callback

    def unwatch(self, descriptor: int) -> None:
        if self.callbacks.pop(descriptor, None) is not None:
            self.epoll.unregister(descriptor)

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        """Run a function after so many seconds of guest time."""
        heapq.heappush(self.timers, (time.monotonic() + seconds, next(self.numbers), function))

    def pause(self) -> None:
        self.paused_at = time.monotonic()

    def resume(self) -> None:
        if self.paused_at is not None:
            lost = time.monotonic() - self.paused_at
            self.timers = [(due + lost, number, function) for due, number, function in self.timers]
            self.paused_at = None

    @property
    def paused(self) -> bool:
        return self.paused_at is not None

    def run(self) -> None:
        while not self.stopping:
            for descriptor, events in self.epoll.poll(self._patience()):
                callback = self.callbacks.get(descriptor)
                if callback is not None:
                    callback(events)
            if not self.paused and not self.stopping:
                self._tick()

    def _patience(self) -> float | None:
        """How long to sleep: not at all with work at hand, for ever without."""
        if self.paused or not (self.on_idle or self.timers):
            return None
        if self.on_idle:
            return 0
        return max(0.0, self.timers[0][0] - time.monotonic())

    def _tick(self) -> None:
        while self.timers and self.timers[0][0] <= time.monotonic():
            heapq.heappop(self.timers)[2]()
        if self.on_idle and not self.on_idle():
            self.on_idle = None

    def _woken(self, _events: int) -> None:
        os.eventfd_read(self.wake)
        while self.calls:
            self.calls.popleft()()

    def _stop(self) -> None:
        self.stopping = True
