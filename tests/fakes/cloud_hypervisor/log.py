"""The log file in v53.0's default format, and how errors reach stderr."""

from __future__ import annotations

import contextlib
import os
import sys
import time

LEVELS = ("WARN", "INFO", "DEBUG", "TRACE")


class Log:
    """Lines for a descriptor; `verbosity` is the number of -v. A full disk loses lines, nothing else."""

    def __init__(self, descriptor: int, verbosity: int) -> None:
        self.descriptor = descriptor
        self.shown = ("ERROR", *LEVELS[: verbosity + 1])
        self.started = time.monotonic()

    def _write(self, thread: str, level: str, location: str, message: str) -> None:
        if level in self.shown:
            elapsed = time.monotonic() - self.started
            line = f"cloud-hypervisor: {elapsed:.6f}s: <{thread}> {level}:{location} -- {message}\n"
            with contextlib.suppress(OSError):
                os.write(self.descriptor, line.encode())

    def note(self, thread: str, location: str, message: str) -> None:
        self._write(thread, "INFO", location, message)

    def fault(self, thread: str, location: str, message: str) -> None:
        self._write(thread, "ERROR", location, message)

    def panic(self, message: str) -> None:
        """The VMM thread's last words, and the process's."""
        print(f"thread 'vmm' panicked at vmm/src/console_devices.rs:1:\n{message}", file=sys.stderr)
        self.chain("VMM thread panicked")

    def chain(self, *causes: str) -> None:
        """An error and its causes on stderr."""
        if len(causes) == 1:
            text = f"Error: Cloud Hypervisor exited with the following error:\n  {causes[0]}\n"
        else:
            lines = "".join(f"  {number}: {cause}\n" for number, cause in enumerate(causes))
            text = f"Error: Cloud Hypervisor exited with the following chain of errors:\n{lines}"
        with contextlib.suppress(OSError):
            os.write(sys.stderr.fileno(), text.encode())
