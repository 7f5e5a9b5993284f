"""How one request is made: address rules, deadlines, errors as sentences, the log of own actions.

`api` builds on it; `fleet` and `console` open their streams through `open_stream` and `open_websocket`.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import ssl
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

from yarl import URL

from . import web
from .address import checked_address
from .answer import Answer, read_body, refusal
from .errors import ApiError, ClientError, ReadOnly, ServerAway
from .sanitise import safe

if TYPE_CHECKING:
    from .records import Json

READ_SECONDS = 15.0
STREAM_BYTES = 4096
"""Of a stream that waits for its reader; twice that is taken, the kernel keeps the rest for one reading."""
KEPT_ACTIONS = 500
_SECRETS = frozenset({"password", "ssh_password"})
_NEXT = re.compile(r'<([^<>]+)>\s*;\s*rel="?next"?')


@dataclass(frozen=True, slots=True)
class OwnAction:
    """One request that changed something, for the action log. `outcome` is "ok" or the refusal's sentence."""

    at: float
    method: str
    path: str
    curl: str
    outcome: str
    seconds: float
    request_id: str
    name: str = ""
    """What the body calls the thing, when it does."""


class Transport:
    """One HTTP session with the control plane."""

    def __init__(self, base_url: str, token: str | None = None) -> None:
        self.base_url = str(checked_address(base_url, token))
        self.read_only = False
        self.actions: deque[OwnAction] = deque(maxlen=KEPT_ACTIONS)
        self._token = token
        self._session: web.aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes every connection; the object can be used again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # --- one request -------------------------------------------------------------------------------------

    async def request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        query: Mapping[str, str] | None = None,
        seconds: float = READ_SECONDS,
        quiet: bool = False,
        accept_any_status: bool = False,
    ) -> Answer:
        """Sends a request and returns its 2xx answer; `quiet` keeps it out of the action log."""
        send = partial(
            self._send, method, path, body, query=query, seconds=seconds, accept_any_status=accept_any_status
        )
        if method == "GET" or quiet:
            return await send()
        started, clock, outcome = time.time(), time.monotonic(), "ok"
        request_id = str(uuid.uuid4())
        try:
            return await send(request_id=request_id)
        except ClientError as error:
            outcome = error.sentence
            raise
        finally:
            curl = self.as_curl(method, path, body)
            spent = time.monotonic() - clock
            name = safe((body or {}).get("name") or "")
            self.actions.append(OwnAction(started, method, path, curl, outcome, spent, request_id, name))

    async def get_object(self, path: str) -> Json:
        """A GET whose answer is one resource."""
        value = (await self.request("GET", path)).json()
        if not isinstance(value, dict):
            raise ServerAway(f"The answer to GET {path} is not a resource.")
        return value

    async def get_page(self, path: str, query: Mapping[str, str] | None) -> tuple[list[Json], str | None]:
        """One page of a list and the path of the next, or None."""
        answer = await self.request("GET", path, query=query)
        value = answer.json()
        if not isinstance(value, list):
            raise ServerAway(f"The answer to GET {path} is not a list.")
        found = _NEXT.search(answer.headers.get("Link", ""))
        following = URL(found[1]).relative() if found and URL(found[1]).absolute else found and found[1]
        return [row for row in value if isinstance(row, dict)], str(following) if following else None

    def as_curl(self, method: str, path: str, body: Json | None = None) -> str:
        """The same request for a shell; the token stays in the environment, passwords are left out."""
        parts = ["curl", "-fsS"] + ([] if method == "GET" else ["-X", method])
        if body is not None:
            shown = {name: "…" if name in _SECRETS else value for name, value in body.items()}
            parts += ["-H", "Content-Type: application/json", "-d", json.dumps(shown, ensure_ascii=False)]
        command = shlex.join(parts)
        if self._token:
            command += ' -H "Authorization: Bearer $QARAX_TOKEN"'
        return f"{command} {shlex.quote(self.base_url.rstrip('/') + path)}"

    # --- streams -----------------------------------------------------------------------------------------

    async def open_stream(
        self, path: str, *, headers: Mapping[str, str] | None = None, silence_seconds: float | None = None
    ) -> web.aiohttp.ClientResponse:
        """A GET whose body is read as it comes; the caller closes it. Silence ends it with ServerAway."""
        timeout = web.aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=silence_seconds)
        try:
            response = await self._http().get(
                self._url(path),
                headers=dict(headers or {}),
                timeout=timeout,
                allow_redirects=False,
                read_bufsize=STREAM_BYTES,
            )
            if response.status != 200:  # noqa: PLR2004 - HTTP OK
                async with response:
                    raise refusal(response, await read_body(response))
        except (web.aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._away(error) from error
        return response

    async def open_websocket(self, path: str) -> web.aiohttp.ClientWebSocketResponse:
        """A WebSocket; the caller closes it."""
        try:
            return await self._http().ws_connect(
                self._url(path), heartbeat=10, max_msg_size=4 * 2**20, autoping=True
            )
        except web.aiohttp.WSServerHandshakeError as error:
            raise await self._why_closed(path, error.status) from error
        except (web.aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._away(error) from error

    async def _why_closed(self, path: str, status: int) -> ApiError:
        """The refusal of a console; the body of a WebSocket's is lost, so the same is asked for plainly."""
        try:
            await self.request("GET", f"{path.partition('?')[0]}?tail=1")
        except ApiError as error:
            return error
        except ClientError:
            pass  # what is known already will do
        return ApiError(f"The console cannot be opened: HTTP {status}.", status)

    # --- how ---------------------------------------------------------------------------------------------

    def _http(self) -> web.aiohttp.ClientSession:
        if self._session is None:
            headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
            trusted = ssl.create_default_context() if self.base_url.startswith("https:") else True
            connector = web.aiohttp.TCPConnector(ssl=trusted)
            self._session = web.aiohttp.ClientSession(connector=connector, headers=headers, trust_env=False)
        return self._session

    def _url(self, path: str) -> URL:
        return URL(self.base_url.rstrip("/") + path, encoded=True)

    async def _send(
        self,
        method: str,
        path: str,
        body: Json | None,
        *,
        query: Mapping[str, str] | None,
        seconds: float,
        accept_any_status: bool,
        request_id: str = "",
    ) -> Answer:
        if self.read_only and method != "GET":
            raise ReadOnly("Read-only mode is on, nothing was sent.", "Turn it off first.")
        url = self._url(path).update_query(query) if query else self._url(path)
        timeout = web.aiohttp.ClientTimeout(total=seconds, sock_connect=5)
        headers = {"x-request-id": request_id} if request_id else None
        try:
            async with self._http().request(
                method, url, json=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                content = await read_body(response)
        except (web.aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._away(error) from error
        if accept_any_status or 200 <= response.status < 300:  # noqa: PLR2004 - HTTP 2xx
            return Answer(response.status, response.headers, content)
        raise refusal(response, content)

    def _away(self, error: BaseException) -> ServerAway:
        address = safe(self.base_url)
        if isinstance(error, asyncio.TimeoutError):
            return ServerAway(f"No answer from {address} in time.", "It may be busy; look at `qarax status`.")
        if isinstance(error, web.aiohttp.ClientConnectorError):
            return ServerAway(f"Nothing answers at {address}.", "Start it with `qarax up`.")
        return ServerAway(f"The connection to {address} broke.", "It is tried again by itself.")
