"""The OpenAPI 3.1 document, written from the routes and the records that `documented` left on them.

`python -m qarax_server.api.openapi` prints it as YAML: `make openapi` keeps `openapi.yaml` with it.
aiohttp-apispec walks the routes; what it would write is Swagger 2.0, so the part that turns a record into an
operation is ours, and apispec does the rest.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, cast

import yaml
from aiohttp import web
from aiohttp_apispec.aiohttp_apispec import AiohttpApiSpec
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import fields

from qarax_server.api.documented import JSON, ROLE, Answer
from qarax_server.api.openapi_finish import finish
from qarax_server.api.refusals import NAMES, REQUEST_ID, refusal
from qarax_server.api.schemas.fields import example_of
from qarax_server.roles import Role

OPENAPI_VERSION = "3.1.0"
DESCRIPTION = """Virtual machines on a fleet of Linux hosts with Cloud Hypervisor.

Creating answers the bare id as text; `Prefer: return=representation` answers the resource. Lists are whole
unless `limit` asks for pages. Every answer carries `x-request-id`. A POST with an `Idempotency-Key` happens
once, however often it is sent.

A server with `auth.required` wants a bearer token whose role (viewer, operator, admin; each may what the one
before it may) is at least the operation's `x-role`; `anyone` needs none. Without it, it is on loopback and
wants no token."""

SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "`qarax-server token create NAME --role ROLE` makes one.",
}

TAGS = {
    "hosts": "Machines with a node on them.",
    "storage-pools": "Directories that images live in.",
    "storage-objects": "Files in pools: kernels, initrds, disks, images.",
    "transfers": "Files on their way into a pool.",
    "boot-sources": "Kernel, initrd and command line.",
    "vms": "Virtual machines and their lifecycle.",
    "operations": "Actions in flight and finished.",
    "events": "The flight recorder.",
    "server": "This server itself.",
}

ALWAYS = (400, 403, 503)
"""What every documented route can be refused with."""

GUARDED = (401, 429)
"""And what those that need a token can be refused with."""

_POST_HEADERS = (
    {
        "in": "header",
        "name": "Idempotency-Key",
        "description": "The same key and body gives the same answer, once; kept for 24 hours.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]{1,255}$"},
    },
)
_PREFER = {
    "in": "header",
    "name": "Prefer",
    "description": "`return=representation` answers the resource instead of its id.",
    "schema": {"type": "string", "examples": ["return=representation"]},
}


class Document(AiohttpApiSpec):  # type: ignore[misc]
    """aiohttp-apispec's walk over the routes with an OpenAPI 3.1 pen."""

    def __init__(self, app: web.Application) -> None:
        self.plugin = MarshmallowPlugin(schema_name_resolver=_schema_name)
        self.spec = APISpec(
            title="qarax",
            version=version("qarax"),
            openapi_version=OPENAPI_VERSION,
            plugins=(self.plugin,),
            info={"description": DESCRIPTION, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
            tags=[{"name": name, "description": text} for name, text in TAGS.items()],
            servers=[{"url": "/"}],
            # optional, so that clients generated from the document work with and without a token
            security=[{"bearer": []}, {}],
        )
        # set by APISpec, as for every plugin
        self.converter: Any = cast("Any", self.plugin.converter)
        self.converter.add_attribute_function(_free_values)
        self.spec.components.security_scheme("bearer", SCHEME)
        for status, name in NAMES.items():
            self.spec.components.response(name, refusal(status))
        self.prefix = ""
        self._register(app)

    def _register(self, app: web.Application) -> None:
        for route in app.router.routes():
            self._register_route(route, route.method.lower(), route.handler)

    def _update_paths(self, data: Mapping[str, Any], method: str, url_path: str) -> None:
        if method == "head":  # follows from GET
            return
        words = ("tags", "operationId", "summary", "description")
        operation = {name: data[name] for name in words if name in data}
        operation[ROLE] = data[ROLE].value
        if data[ROLE] is Role.ANYONE:
            operation["security"] = []
        parameters = _path_parameters(url_path) + list(data["parameters"])
        for record in data["schemas"]:
            if record["location"] == "json":
                operation["requestBody"] = _request_body(record)
            else:
                parameters += self.converter.schema2parameters(record["schema"], location="query")
        if method == "post":
            parameters += _POST_HEADERS
            if "201" in data["responses"]:
                parameters.append(_PREFER)
        if parameters:
            operation["parameters"] = parameters
        ids = "{" in url_path
        takes_input = method == "post" or any(each["in"] != "path" for each in parameters)
        operation["responses"] = _responses(data, method, takes_input=takes_input, has_ids=ids)
        self.spec.path(path=url_path, operations={method: operation})


def write(app: web.Application) -> dict[str, Any]:
    """Return the document of an application's routes."""
    document: dict[str, Any] = Document(app).spec.to_dict()
    finish(document)
    return document


def _request_body(record: Mapping[str, Any]) -> dict[str, Any]:
    schema = record["schema"]
    return {
        "required": record["options"]["required"],
        "content": {JSON: {"schema": schema, "example": example_of(schema)}},
    }


def _responses(data: Mapping[str, Any], method: str, *, takes_input: bool, has_ids: bool) -> dict[str, Any]:
    responses: dict[str, Any] = {status: _answer(answer) for status, answer in data["responses"].items()}
    refusals = {*data["x-refusals"], *ALWAYS, *(() if data[ROLE] is Role.ANYONE else GUARDED)}
    if takes_input:
        refusals.add(422)
    if method == "post":
        refusals.add(409)  # an Idempotency-Key whose first request still runs
    if has_ids:
        refusals.add(404)
    for status in sorted(refusals):
        responses.setdefault(str(status), NAMES[status])
    return dict(sorted(responses.items()))


def _answer(answer: Answer) -> dict[str, Any]:
    shown: dict[str, Any] = {"description": answer.description, "headers": {**REQUEST_ID, **answer.headers}}
    if answer.content:
        shown["content"] = {kind: dict(content) for kind, content in answer.content.items()}
    return shown


def _path_parameters(url_path: str) -> list[dict[str, Any]]:
    return [
        {
            "in": "path",
            "name": name,
            "required": True,
            "schema": {"type": "string"} | ({"format": "uuid"} if name.endswith("id") else {}),
        }
        for name in re.findall(r"\{(\w+)\}", url_path)
    ]


def _schema_name(schema: Any) -> str:
    return schema.__name__ if isinstance(schema, type) else type(schema).__name__


def _free_values(_: Any, field: fields.Field[Any], **__: Any) -> dict[str, Any]:
    """A `FreeObject` may hold anything."""
    if isinstance(field, fields.Dict) and field.value_field is None:
        return {"additionalProperties": True}
    return {}


class _Plain(yaml.SafeDumper):
    """Without aliases: every mention stands for itself."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _main() -> None:
    from qarax_server.api.application import make_application  # noqa: PLC0415 - it imports this module

    document = write(make_application())
    yaml.dump(document, sys.stdout, _Plain, sort_keys=False, allow_unicode=True, width=110)


if __name__ == "__main__":
    _main()
