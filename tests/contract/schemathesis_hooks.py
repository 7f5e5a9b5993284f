"""What schemathesis cannot know: ids come as bare text, keys are for one request, ids name what is there."""

from __future__ import annotations

import json
import os
import re
import uuid
from typing import Any

import jsonschema
import schemathesis

from qarax_server.api import openapi
from qarax_server.api.application import make_application

DOCUMENT = openapi.write(make_application())
KNOWN = json.loads(os.environ["KNOWN_IDS"])
"""Names of fields → the id of something that is there."""

ROOM = 2**28


@schemathesis.deserializer("text/plain")
def plain_text(context: Any, response: Any) -> Any:
    """The text is the value."""
    del context
    return response.content.decode("utf-8", "replace")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """A key that was used before would be answered as then: with an id that is gone by now, perhaps."""
    del context, kwargs
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch("[!-~]{1,255}", key):
        case.headers["Idempotency-Key"] = uuid.uuid4().hex


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Most bodies that keep to their schema lead on: so that links reach more than refusals."""
    operation = DOCUMENT["paths"][context.operation.path][context.operation.method]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    if not jsonschema.Draft202012Validator({**schema, "components": DOCUMENT["components"]}).is_valid(body):
        return body
    led = body | {name: _known(name, value) for name, value in body.items() if name in KNOWN}
    return led | _small_vm(led) if context.operation.path == "/vms" else led


def _known(name: str, value: Any) -> Any:
    """Another id for most ids."""
    return KNOWN[name] if value is not None and value[-1] not in "fF" else value


def _small_vm(body: dict[str, Any]) -> dict[str, Any]:
    """A VM that any host has room for, and that refers to nothing else."""
    size, vcpus = int(body["memory_size"]) % ROOM + 2**20, int(body["boot_vcpus"]) % 2 + 1
    nothing = dict.fromkeys(("disks", "networks", "cpu_topology", "driver", "memory_hotplug_size"))
    small = {**nothing, "memory_size": size, "boot_vcpus": vcpus, "max_vcpus": vcpus}
    return small if int(body["max_vcpus"]) % 8 else {}
