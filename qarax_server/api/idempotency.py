"""`Idempotency-Key`: the same key and body gives the same answer, and what was asked for happens once.

The key is noted, with the id that a new resource will have, before the handler runs; the answer is noted
after it. So a request that was cut off by a crash can be taken up: what it made is found by that id, and what
it did not make is made under the same id. Duplicates of a running request wait for it.
Only the active server writes, so "running" is what this process knows to run.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
import uuid
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from qarax_server import caller
from qarax_server.api import answers, errors
from qarax_server.api.keys import NEW_ID
from qarax_server.api.services import CORE, DATABASE, SETTINGS
from qarax_server.errors import Conflict, Invalid, QaraxError, Unavailable
from qarax_server.store import idempotency as store

HEADER = "Idempotency-Key"
WAIT_SECONDS = 60.0
SETTLE_POLL_SECONDS = 0.1
KEPT_HEADERS = ("Content-Type", "Location", "Preference-Applied")
RUNNING: web.AppKey[dict[tuple[str, str], asyncio.Event]] = web.AppKey("idempotent_requests", dict)


@dataclass(frozen=True)
class Claim:
    """One request under a key."""

    actor: str
    key: str
    route: str
    body_digest: str


async def once(request: web.Request, handler: Handler, body: bytes, creates: str = "") -> web.StreamResponse:
    """Run a POST handler, under its key when it carries one.

    Args:
        request: gets `request[NEW_ID]`, the id of what the handler makes.
        handler: runs at most once per key to an answer.
        body: as it came.
        creates: the subject type of what the handler makes, to find it after a crash.

    Raises:
        Conflict: the first request under this key does not come to an end.
        Invalid: the key came with another request before.
    """
    request[NEW_ID] = str(uuid.uuid4())
    if HEADER not in request.headers:
        return await handler(request)
    key = ", ".join(request.headers.getall(HEADER))
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        sentence = "1 to 255 visible ASCII characters."
        raise Invalid(f"{HEADER}: {sentence}", errors={HEADER: [sentence]})
    route = f"{request.method} {request.rel_url}"
    claim = Claim(caller.current().actor, key, route, hashlib.sha256(body).hexdigest())
    running = request.app[RUNNING]
    place = (claim.actor, claim.key)
    await _wait_for_first(running, place)
    running[place] = asyncio.Event()
    try:
        return await _answer_once(request, handler, claim, creates)
    finally:
        running.pop(place).set()


async def _wait_for_first(running: dict[tuple[str, str], asyncio.Event], place: tuple[str, str]) -> None:
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while place in running:
                await running[place].wait()
    except TimeoutError:
        message = f"the first request with this {HEADER} is still running: try again later"
        raise Conflict(message, code="idempotency_key_in_use") from None


async def _answer_once(
    request: web.Request, handler: Handler, claim: Claim, creates: str
) -> web.StreamResponse:
    database = request.app[DATABASE]
    async with database.connection() as connection:
        kept = await store.claim_key(
            connection,
            claim.actor,
            claim.key,
            route=claim.route,
            body_digest=claim.body_digest,
            subject_id=request[NEW_ID],
            hours=request.app[SETTINGS].retention.idempotency_hours,
        )
    if (kept.route, kept.body_digest) != (claim.route, claim.body_digest):
        message = f"this {HEADER} came with another request before: a new request needs a new key"
        raise Invalid(message, code="idempotency_key_reused", errors={HEADER: ["Came with another request."]})
    if kept.status is not None:
        return web.Response(status=kept.status, text=kept.body or None, headers=kept.headers)
    request[NEW_ID] = kept.subject_id
    taken_up = await _taken_up(request, creates) if kept.seen_before and creates else None
    response = taken_up or await _run(request, handler)
    if not request.app[CORE].lease.active:
        return response  # it woke late: the key is the active server's, whose answer it would replace
    if isinstance(response, web.Response) and _is_definite(response.status):
        headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        async with database.connection() as connection:
            await store.settle_key(
                connection,
                claim.actor,
                claim.key,
                status=response.status,
                headers=headers,
                body=response.text or "",
            )
    return response


async def _run(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except QaraxError as error:
        return errors.error_answer(request, error)


async def _taken_up(request: web.Request, creates: str) -> web.Response | None:
    """The answer of a request whose handler was cut off, when what it made is there."""
    text = await _settled(request, creates, request[NEW_ID])
    if text is None:
        return None
    if creates in {"transfer", "operation"}:
        return answers.json_text(text, 202)
    return answers.created(request, request[NEW_ID], text)


async def _settled(request: web.Request, creates: str, subject_id: str) -> str | None:
    """What the request made, once no operation is left on it: the reconciler completes or undoes it."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        async with request.app[DATABASE].connection() as connection:
            text = await store.get_made(connection, creates, subject_id)
        if text is None or json.loads(text).get("operation") is None:
            return text
        await asyncio.sleep(SETTLE_POLL_SECONDS)
    message = f"the first request with this {HEADER} was cut off and is still being settled: try again later"
    raise Unavailable(message, code="idempotency_key_in_use")


def _is_definite(status: int) -> bool:
    """Whether asking again would be answered the same: not so while something is away or too busy."""
    return status < 500 and status != 429  # noqa: PLR2004
