"""Log lines: time, level, module, request id, message; to stderr, where the service manager takes them."""

from __future__ import annotations

import logging
import sys

from qarax_server import caller

FORMAT = "%(asctime)s %(levelname)-7s %(name)s [%(request_id)s] %(message)s"


def set_up_logging(level: str) -> None:
    """Send everything from `level` on to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(_with_request_id)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _with_request_id(record: logging.LogRecord) -> bool:
    record.request_id = caller.current().request_id
    return True
