"""The first page of VMs and of hosts, read by the standard library in a thread while the rest is imported.

    first = FirstRows(settings)     # returns at once
    …
    fleet.foresee(first.rows())     # what has come by now; nothing of a server that is slow, away or refuses

Who is there to see is answered half a terminal library earlier that way. All that can go wrong is left to the
client that comes after it, which says so: here it only means that there is nothing yet.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
from threading import Thread
from typing import TYPE_CHECKING

from .address import checked_address
from .errors import SettingsError
from .sanitise import safe_json

if TYPE_CHECKING:
    from yarl import URL

    from .records import Json, Noun
    from .settings import ClientSettings

_log = logging.getLogger(__name__)

PATHS: tuple[tuple[Noun, str], ...] = (
    ("host", "/hosts?limit=200&sort=name"),
    ("vm", "/vms?limit=200&sort=name"),
)
SECONDS = 3.0
LARGEST_PAGE = 2**22
OK = 200


class FirstRows:
    """What a control plane lists first."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._rows: dict[Noun, list[Json]] = {}
        self._thread = Thread(target=self._read, name="first rows", daemon=True)
        self._thread.start()

    def rows(self) -> dict[Noun, list[Json]]:
        """By noun, in an order in which each finds what it refers to; empty while any is missing."""
        return {} if self._thread.is_alive() or len(self._rows) < len(PATHS) else self._rows

    def _read(self) -> None:
        try:
            url = checked_address(self._settings.server, self._settings.token)
            with contextlib.closing(_connection(url)) as connection:
                for noun, path in PATHS:
                    self._rows[noun] = self._page(connection, url.path.rstrip("/") + path)
        except (OSError, ValueError, http.client.HTTPException, SettingsError) as error:
            _log.debug("the first rows are left to the client: %s", error)

    def _page(self, connection: http.client.HTTPConnection, path: str) -> list[Json]:
        headers = {"Authorization": f"Bearer {self._settings.token}"} if self._settings.token else {}
        connection.request("GET", path, headers=headers)
        with connection.getresponse() as answer:
            text = answer.read(LARGEST_PAGE)
            page = safe_json(text) if answer.status == OK else None
        if not isinstance(page, list):
            raise ValueError(f"{path} answered {answer.status} and no list")  # noqa: TRY004 - from outside
        return [row for row in page if isinstance(row, dict)]


def _connection(url: URL) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    return kind(str(url.host), url.port, timeout=SECONDS)
