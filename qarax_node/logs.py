"""Log lines on stderr: plain or JSON, one per line, with the request id when there is one."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class PlainFormatter(logging.Formatter):
    """`2026-01-31T12:00:00Z INFO text [request id]`."""

    def __init__(self, request_id: Callable[[], str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        self.converter = time.gmtime
        self._request_id = request_id

    def format(self, record: logging.LogRecord) -> str:
        given = self._request_id()
        line = super().format(record)
        return f"{line} [{given}]" if given else line


class JsonFormatter(PlainFormatter):
    """`{"time", "level", "message", "logger"}` and `request_id` when there is one."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": self.formatTime(record, self.datefmt),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": self._request_id() or None,
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in fields.items() if value is not None})


def set_up(log_format: str, request_id: Callable[[], str]) -> None:
    """Send everything from INFO on to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter((JsonFormatter if log_format == "json" else PlainFormatter)(request_id))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
