"""The event monitor: pretty-printed JSON and two newlines per event, best effort, never blocking."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import Any


class EventMonitor:
    """Writes to a descriptor, or nowhere. `withhold` names an event that gets lost on its way."""

    def __init__(self, descriptor: int | None, withhold: str = "") -> None:
        self.descriptor = descriptor
        self.withhold = withhold
        self.started = time.monotonic()
        if descriptor is not None:
            os.set_blocking(descriptor, False)

    def emit(self, source: str, event: str, properties: dict[str, Any] | None = None) -> None:
        if self.descriptor is None or self.withhold == f"{source}/{event}":
            return
        elapsed = time.monotonic() - self.started
        record = {
            "timestamp": {"secs": int(elapsed), "nanos": int(elapsed % 1 * 1e9)},
            "source": source,
            "event": event,
            "properties": properties,
        }
        with contextlib.suppress(OSError):
            os.write(self.descriptor, json.dumps(record, indent=2).encode() + b"\n\n")
