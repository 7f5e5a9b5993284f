"""The node's one error: a sentence for the operator with what a program needs beside it.

Raised where the rule lives; `rpc/errors.py` is the one place that turns it into a gRPC status.
"""

from __future__ import annotations


class NodeError(Exception):
    """A refusal or failure in the operator's words.

    Attributes:
        code: stable snake_case word, e.g. `kernel_missing`.
        field: the request field at fault, or "".
        kind: `invalid` (the spec or a file breaks a rule), `state` (wrong state), `exhausted` (memory, disk,
            descriptors), `unavailable` (try again later), `timeout` (outcome unknown), `missing` (no such VM
            or file), `exists` (already there, and different) or `fenced` (an older server).
    """

    def __init__(self, sentence: str, *, code: str, kind: str = "invalid", field: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        self.kind = kind
        self.field = field
