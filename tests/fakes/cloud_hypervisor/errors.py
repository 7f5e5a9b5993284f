"""How requests fail: an API error is a chain of causes, outermost first."""

from __future__ import annotations

import os

NOT_FOUND = ("VM is not created", "VM config is missing")
NOT_RUNNING = "VM is not running"
NOT_CREATED = "VM is not created"
ALREADY_CREATED = "VM is already created"


class VmError(Exception):
    """What went wrong below the API, as the lines of its chain."""

    def __init__(self, *chain: str) -> None:
        super().__init__(*chain)
        self.chain = chain


class ApiError(Exception):
    """A 404, 429 or 500 with its array of causes."""

    def __init__(self, what: str, cause: VmError) -> None:
        super().__init__(what, *cause.chain)
        self.chain = ("Error from API", what, *cause.chain)
        self.status = 404 if cause.chain[0] in NOT_FOUND else 500


class VmmPanic(Exception):  # noqa: N818  that is what it is
    """The VMM thread panicked: the process exits 1."""


def os_error(error: OSError) -> str:
    """As Rust prints an operating system error with glibc."""
    number = error.errno or 0
    return f"{os.strerror(number)} (os error {number})"
