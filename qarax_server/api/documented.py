"""One decorator per handler: what it documents is what it enforces.

    @routes.post("/storage-pools")
    @documented(tag="storage-pools", operation="create", role=Role.ADMIN, summary="Make a storage pool",
                body=NewStoragePool, answers={201: made(StoragePool, "the pool")}, refusals=(409,),
                creates="storage_pool")
    async def create_storage_pool(request: web.Request) -> web.StreamResponse:
        new, pool_id = request[BODY], request[NEW_ID]

Before anything is read, `authentication.py` has seen a token of the role. Before the handler runs, ids in
the path are UUIDs (else 404), `request[QUERY]` is the validated query string and `request[BODY]` the
validated body (else 400, 408, 413, 422). A POST obeys `Idempotency-Key`. The record itself is kept by
aiohttp-apispec's decorators; `openapi.py` writes the document from it.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp_apispec import docs, json_schema, querystring_schema
from marshmallow import EXCLUDE, Schema, ValidationError

from qarax_server.api import idempotency
from qarax_server.api.json_body import read_json
from qarax_server.api.keys import BODY, QUERY
from qarax_server.api.schemas.base import Query
from qarax_server.api.schemas.fields import UUID_PATTERN, example_of
from qarax_server.api.services import CORE
from qarax_server.errors import BadRequest, Invalid, NotFound
from qarax_server.roles import Role

JSON = "application/json"
ROLE = "x-role"
"""The member of a record, and of the OpenAPI document's operations, that names the role."""

READING = frozenset({"GET", "HEAD"})
UUID_TEXT = {"type": "string", "format": "uuid"}


@dataclass(frozen=True)
class Answer:
    """One answer of a route as the OpenAPI document shows it: content type → schema and example."""

    description: str
    content: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    headers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def one(schema: type[Schema], description: str) -> Answer:
    """A JSON object."""
    return Answer(description, {JSON: {"schema": schema(), "example": example_of(schema())}})


def listed(schema: type[Schema], description: str) -> Answer:
    """A JSON array: the whole list, or a page of it."""
    content = {JSON: {"schema": schema(many=True), "example": example_of(schema(many=True))}}
    total = {"description": "How many there are in all pages.", "schema": {"type": "integer"}}
    link = {"description": 'The next page: `<…>; rel="next"`.', "schema": {"type": "string"}}
    return Answer(description, content, {"X-Total-Count": total, "Link": link})


def made(schema: type[Schema], noun: str) -> Answer:
    """201: the bare id as text, or the resource when the client prefers it."""
    example = example_of(schema())
    location = {"description": f"Where {noun} is.", "schema": {"type": "string"}}
    content = {
        "text/plain": {"schema": UUID_TEXT, "example": example["id"]},
        JSON: {"schema": schema(), "example": example},
    }
    return Answer(
        f"The id of {noun}; with `Prefer: return=representation`, {noun} itself.",
        content,
        {"Location": location},
    )


def nothing(description: str) -> Answer:
    """204."""
    return Answer(description)


def plain(description: str, example: str, content_type: str = "text/plain") -> Answer:
    """Text."""
    return Answer(description, {content_type: {"schema": {"type": "string"}, "example": example}})


def documented(
    *,
    tag: str,
    operation: str,
    role: Role,
    summary: str,
    answers: Mapping[int, Answer],
    description: str = "",
    body: type[Schema] | None = None,
    body_may_be_empty: bool = False,
    query: type[Schema] = Query,
    refusals: Sequence[int] = (),
    parameters: Sequence[Mapping[str, Any]] = (),
    creates: str = "",
) -> Callable[[Handler], Handler]:
    """Document a handler and hand it checked input only.

    Args:
        tag: plural noun.
        operation: the operation id; repeated per tag.
        role: the least a token must be; `ANYONE` asks for no token.
        summary: one line.
        answers: status → what it carries.
        description: more than the line.
        body: schema of the body, if the route takes one.
        body_may_be_empty: no body is as good as `{}`.
        query: schema of the query string.
        refusals: error statuses besides those that follow from path, query and body.
        parameters: further headers, in OpenAPI's words.
        creates: the subject type of what a POST makes under `request[NEW_ID]`; see `idempotency.py`.
    """
    body_schema = body() if body else None
    query_schema = query()

    def decorate(handler: Handler) -> Handler:
        @functools.wraps(handler)
        async def checked(request: web.Request) -> web.StreamResponse:
            if request.method not in READING:
                request.app[CORE].lease.require()
            check_ids(request)
            request[QUERY] = load_query(query_schema, request)
            raw = b""
            if body_schema is not None:
                raw, value = await read_json(request)
                request[BODY] = load_body(body_schema, _object_for(value, raw, body_may_be_empty))
                raw = _without_secrets(body_schema, raw, value)
            if request.method == "POST":
                return await idempotency.once(request, handler, raw, creates)
            return await handler(request)

        record = {
            "tags": [tag],
            "operationId": operation,
            ROLE: role,
            "summary": summary,
            "parameters": list(parameters),
            "responses": {str(status): answer for status, answer in answers.items()},
            "x-refusals": sorted({*refusals, *((400, 408, 413, 422) if body_schema else ())}),
        }
        if description:
            record["description"] = description
        if body_schema is not None:
            checked = json_schema(body_schema, required=not body_may_be_empty)(checked)
        return docs(**record)(querystring_schema(query_schema)(checked))  # type: ignore[no-any-return]

    return decorate


def needed_role(handler: Any) -> Role:
    """The role that a handler asks for; one that says nothing asks for the highest."""
    record = getattr(handler, "__apispec__", {})
    return Role(record.get(ROLE, Role.ADMIN))


def check_ids(request: web.Request) -> None:
    """Every `{…_id}` of the path is a UUID: anything else names nothing.

    Raises:
        NotFound: it is not.
    """
    for name, text in request.match_info.items():
        if name.endswith("id") and not re.fullmatch(UUID_PATTERN, text):
            noun = name.removesuffix("_id").replace("_", " ")
            raise NotFound(f"no {noun} has such an id: ids are UUIDs", code="not_an_id")


def load_query(schema: Schema, request: web.Request) -> Any:
    """Validate a query string.

    Raises:
        Invalid: naming each parameter at fault.
    """
    given = request.query
    if schema.unknown == EXCLUDE:
        return {}
    twice = {name: ["Given twice."] for name in given if len(given.getall(name)) > 1}
    if twice:
        raise Invalid(_sentence(twice), errors=twice)
    if any("\0" in text or "\ufffd" in text or not text.isprintable() for text in given.values()):
        raise Invalid("the query string holds characters that cannot be printed")
    return load_body(schema, dict(given))


def load_body(schema: Schema, value: Any) -> Any:
    """Validate a value.

    Raises:
        Invalid: with one entry per field at fault, nested ones as `networks.0.mac`.
    """
    try:
        return schema.load(value)
    except ValidationError as error:
        errors = dict(_flat(error.messages, ""))
        raise Invalid(_sentence(errors), errors=errors) from error


def _without_secrets(schema: Schema, raw: bytes, value: Any) -> bytes:
    """A body without what is never stored: not even a digest of a password is kept under its key."""
    secret = {name for name, each in schema.fields.items() if each.load_only} & set(value or ())
    if not secret:
        return raw
    rest = {name: each for name, each in value.items() if name not in secret}
    return json.dumps(rest, sort_keys=True).encode()


def _object_for(value: Any, raw: bytes, may_be_empty: bool) -> Any:
    if raw.strip():
        return value
    if may_be_empty:
        return {}
    raise BadRequest("the body is empty: a JSON object is needed")


def _flat(messages: Any, place: str) -> list[tuple[str, list[str]]]:
    if isinstance(messages, Mapping):
        found = []
        for name, below in messages.items():
            inner = place if name == "_schema" else f"{place}.{name}".lstrip(".")
            found += _flat(below, inner)
        return found
    sentences = [str(each) for each in (messages if isinstance(messages, list) else [messages])]
    return [(place or "body", sentences)]


def _sentence(errors: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{name}: {' '.join(sentences).rstrip('.')}" for name, sentences in errors.items())
