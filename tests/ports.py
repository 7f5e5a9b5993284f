"""Ports for programs that a test starts: free, and never one that another test's connection is given.

They lie below those the system gives to clients; each worker of a run has a thousand of its own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket

LOWEST, EACH, WORKERS = 10_000, 1_000, 10
_numbers = itertools.count(os.getpid() * 37)  # runs side by side begin at different places


def free_port() -> int:
    """A port of loopback that nobody has; another one each time."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = LOWEST + EACH * (worker % WORKERS)
    for number in itertools.islice(_numbers, EACH):
        port = first + number % EACH
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no port from {first} to {first + EACH - 1} is free")
