"""What QEMU said about a guest's life and end, kept beside the VM so that it outlives the node.

QMP events that come while no node listens are lost; a poweroff is found out all the same, because QEMU stays
until it is ended (`-action shutdown=pause`), and what remains unknown is called inferred.
"""

from __future__ import annotations

import logging
import os
import signal
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from qarax_node import files
from qarax_node.drivers.base import StopHow
from qarax_node.drivers.qemu.process import last_words

if TYPE_CHECKING:
    from pathlib import Path

    from qarax_node.processes import Exit

LOGGER = logging.getLogger(__name__)
FILE = "qemu_life.json"
WHO_KILLS = " (somebody on this host, or the kernel for want of memory: its log says)"


@dataclass
class Life:
    """One run of QEMU: which process, whether the guest was asked to go, what it did, what the host did."""

    pid: int
    asked: bool = False
    panicked: bool = False
    guest_ended: str = ""
    host_ended: str = ""

    def note(self, directory: Path, **news: bool | str) -> bool:
        """Take news and keep them; False when they are none: a guest cannot make us write without end."""
        if all(getattr(self, name) == value for name, value in news.items()):
            return False
        for name, value in news.items():
            setattr(self, name, value)
        self._save(directory)
        return True

    def _save(self, directory: Path) -> None:
        """Where the disk refuses, the cause of the end is known until the node restarts."""
        try:
            files.write_json(directory / FILE, asdict(self), durable=False)
        except OSError as error:
            LOGGER.warning("%s cannot be kept: %s", directory / FILE, error)


def load(directory: Path, pid: int) -> Life:
    """What was kept of this run, or a blank one."""
    try:
        life = Life(**(files.read_json(directory / FILE) or {"pid": 0}))
    except (OSError, TypeError) as error:
        LOGGER.warning("%s is not used: %s", directory / FILE, error)
        return Life(pid)
    return life if life.pid == pid else Life(pid)


def explain(life: Life, ended: Exit, directory: Path) -> tuple[StopHow, str]:
    """How this run ended, from its events, its exit status and its log."""
    if life.guest_ended:
        return _by_guest(life)
    panic = ", after the guest had panicked" if life.panicked else ""
    words = last_words(directory)
    said = f": {words}" if words else ""
    if ended.status is None:
        return StopHow.INFERRED, f"nobody saw QEMU (pid {ended.pid}) end{panic}"
    if os.WIFSIGNALED(ended.status):
        number = os.WTERMSIG(ended.status)
        who = WHO_KILLS if number == signal.SIGKILL else ""
        return StopHow.CRASHED, f"QEMU was ended by {signal.Signals(number).name}{who}{panic}{said}"
    if code := os.waitstatus_to_exitcode(ended.status):
        return StopHow.CRASHED, f"QEMU ended with exit status {code}{panic}{said}"
    if life.host_ended:
        return StopHow.FORCED, f"QEMU was ended from this host ({life.host_ended}){panic}{said}"
    return StopHow.INFERRED, f"QEMU ended in good order, told to from this host{panic}{said}"


def _by_guest(life: Life) -> tuple[StopHow, str]:
    if life.asked:
        return StopHow.OBEYED, "the guest obeyed the power button"
    return StopHow.GUEST_POWEROFF, "the guest powered itself off"
