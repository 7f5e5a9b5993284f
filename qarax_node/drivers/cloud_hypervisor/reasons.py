"""How a VMM that is gone ended: exit status, what was asked of it, its last events, its own words.

The exit status alone cannot tell: 0 is `vmm.shutdown`, SIGTERM, and a vCPU that failed. What this driver
asked for it notes in the VM's directory before it asks, so that a node killed in between still knows.
"""

from __future__ import annotations

import json
import os
import re
import signal
from typing import TYPE_CHECKING

from qarax_node.drivers.base import StopHow
from qarax_node.drivers.cloud_hypervisor import process
from qarax_node.drivers.cloud_hypervisor.events import EventFile

if TYPE_CHECKING:
    from pathlib import Path

    from qarax_node.drivers.base import Exit

PRESSED = "power_button"
OBEYED = "obeyed"
ASKED = "asked"
GUEST_OFF = "guest_poweroff"
REBOOT_FAILED = "reboot_failed"
TAIL_BYTES = 1 << 16
ERROR_LINE = re.compile(r"<[^>]*> ERROR:\S+ -- (.*)")
RAN_INTO = {
    signal.SIGSEGV: "a fault in the VMM",
    signal.SIGSYS: "a system call that its seccomp filter forbids",
    signal.SIGKILL: "the kernel out of memory, or an operator; not qarax",
    signal.SIGBUS: "no memory behind a page, often huge pages or a full tmpfs",
}


def note(directory: Path, why: str, detail: str = "") -> None:
    """Keep why the VMM is about to end. Raises OSError."""
    path = directory / process.ENDING
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps({"why": why, "detail": detail}), encoding="utf-8")
    temporary.replace(path)


def noted(directory: Path) -> tuple[str, str]:
    """What was kept: why and detail, or two empty words."""
    try:
        kept = json.loads((directory / process.ENDING).read_text(encoding="utf-8"))
        return str(kept["why"]), str(kept["detail"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", ""


def exit_reason(directory: Path, ended: Exit) -> tuple[StopHow, str]:
    """How it ended and one sentence."""
    why, detail = noted(directory)
    if why and why != PRESSED:
        return asked_reason(why, ended, detail)
    return _unasked(directory, _exit_code(ended), pressed=why == PRESSED)


def asked_reason(why: str, ended: Exit, detail: str = "") -> tuple[StopHow, str]:
    """The same of a VMM that was told to end."""
    if why == OBEYED:
        return StopHow.OBEYED, "the guest obeyed the power button"
    if why == GUEST_OFF:
        return StopHow.GUEST_POWEROFF, "the guest powered off"
    if why == REBOOT_FAILED:
        return StopHow.CRASHED, f"the reboot failed: {detail}" if detail else "the reboot failed"
    killed = _exit_code(ended) == -signal.SIGKILL
    return StopHow.FORCED, "ended by SIGKILL" if killed else "ended at once as asked"


def _exit_code(ended: Exit) -> int | None:
    return None if ended.status is None else os.waitstatus_to_exitcode(ended.status)


def _unasked(directory: Path, status: int | None, *, pressed: bool) -> tuple[StopHow, str]:
    events = EventFile(str(directory))
    events.read()
    history = events.history
    if history.off and not history.leaving:
        if status is None:
            return StopHow.INFERRED, "the guest powered off, then its VMM ended unseen"
        if status == 0:  # a poweroff does not end the VMM, and one that leaves may lose its last events
            return StopHow.INFERRED, "the guest powered off, or its VMM was told to end by SIGTERM"
        how = StopHow.OBEYED if pressed else StopHow.GUEST_POWEROFF
        return how, "the guest powered off, then its VMM ended"
    words = process.last_words(directory / process.OUTPUT) or _last_error(directory)
    if status is None:
        return StopHow.INFERRED, _with("nobody saw the VMM end", words)
    return StopHow.CRASHED, _crash(status, words, rebooting=history.rebooting)


def _crash(status: int, words: str, *, rebooting: bool) -> str:
    if status < 0:
        return _killed(-status)
    if status == 0:
        words = words or "it says nothing of a fault, so perhaps SIGTERM from outside"
        return _with("the VMM ended by itself with exit status 0", words)
    if rebooting:
        return _with("the guest rebooted and its VMM could not follow", words)
    return _with(f"the VMM failed with exit status {status}", words)


def _killed(number: int) -> str:
    name = next((known.name for known in signal.Signals if known == number), f"signal {number}")
    cause = next((cause for known, cause in RAN_INTO.items() if known == number), "from outside")
    return f"the VMM was killed by {name} ({cause})"


def _with(sentence: str, words: str) -> str:
    return f"{sentence}: {words}" if words else sentence


def _last_error(directory: Path) -> str:
    """The message of the last ERROR line of the VMM's log."""
    try:
        with (directory / process.LOG).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    lines = ERROR_LINE.findall(text)
    return str(lines[-1]) if lines else ""
