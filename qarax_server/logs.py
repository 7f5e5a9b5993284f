"""Log lines on stderr, where the service manager takes them: plain, or JSON for a collector.

Each carries the id of the request that it is about, where there is one.
"""

from __future__ import annotations

import json
import logging
import sys
import time

from qarax_server import caller

FORMAT = "%(asctime)s %(levelname)-7s %(name)s [%(request_id)s] %(message)s"


class JsonFormatter(logging.Formatter):
    """An object per line: `time` (RFC 3339, UTC), `level`, `logger`, `message`, `request_id`."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"
    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (who := caller.current()) != caller.SERVER:
            fields["request_id"] = who.request_id
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def set_up_logging(level: str, log_format: str) -> None:
    """Send everything from `level` on to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else logging.Formatter(FORMAT))
    handler.addFilter(_with_request_id)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _with_request_id(record: logging.LogRecord) -> bool:
    record.request_id = caller.current().request_id
    return True
