"""The one place where an unexpected exception ends: a toast and a line in the log, never a traceback.

Textual ends the app on an exception in a handler, worker or timer, and a message pump whose handler raised
stops for good. `Guarded` catches around each message, so that the widget lives on; `QaraxApp` sends what
happens elsewhere (timers, workers, rendering) to the same `report_failure`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol, cast

from textual.message_pump import MessagePump

if TYPE_CHECKING:
    from textual.message import Message

logger = logging.getLogger("qarax")


class Reporter(Protocol):
    """The app, as far as it is known here."""

    def report_failure(self, error: Exception) -> None: ...


class Guarded(MessagePump):
    """Mixed into the app, every screen and every view."""

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - this is the one place that catches everything
            cast("Reporter", self.app).report_failure(error)
