"""The keeper, killed (SIGKILL) just before the Nth call to the kernel after a VMM was asked for.

    python dying_keeper.py N MARK --socket S --runtime-dir D

A call to the kernel is one that the keeper's own code makes through `os` or a socket. The file MARK appears
with its name when it dies.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from types import FrameType
from typing import Any

OF_THE_KERNEL = {"posix", "_socket"}
FIRST = "pipe2"


class Countdown:
    """Counts from the first pipe of the first spawn."""

    def __init__(self, left: int, mark: str) -> None:
        self.left = left
        self.mark = mark
        self.begun = False
        self.pid = os.getpid()

    def __call__(self, frame: FrameType, event: str, called: Any) -> None:
        if event != "c_call" or "qarax_node/keeper/" not in frame.f_code.co_filename:
            return
        module = getattr(called, "__module__", None) or type(getattr(called, "__self__", None)).__module__
        if module not in OF_THE_KERNEL | {"socket"} or os.getpid() != self.pid:
            return
        self.begun = self.begun or called.__name__ == FIRST
        if self.begun:
            self.left -= 1
        if self.left <= 0:
            with open(self.mark, "w", encoding="utf-8") as mark:  # noqa: PTH123  no imports in a profiler
                mark.write(called.__name__)
            os.kill(self.pid, signal.SIGKILL)


if __name__ == "__main__":
    countdown = Countdown(int(sys.argv[1]), sys.argv[2])
    sys.argv[1:3] = []
    sys.setprofile(countdown)
    runpy.run_module("qarax_node.keeper", run_name="__main__", alter_sys=True)
