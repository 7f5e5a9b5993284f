"""The last touches to the OpenAPI document: links, names of enumerations, JSON Schema's own words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from qarax_server.api.schemas.enumerations import NAMED


def finish(document: dict[str, Any]) -> None:
    """Change the document in place."""
    _tidy(document)
    _link(document["paths"])
    _name_enumerations(document)


def _link(paths: dict[str, Any]) -> None:
    """Say how the id that a POST answers leads to the operations on what it made.

    By reference to the path: operation ids repeat per tag.
    """
    for path, methods in paths.items():
        for status, where in (("201", "$response.body"), ("202", "$response.body#/id")):
            answer = methods.get("post", {}).get("responses", {}).get(status)
            if answer is not None:
                found = dict(_links(paths, path, where))
                if found:
                    answer["links"] = found


def _links(paths: dict[str, Any], path: str, where: str) -> Iterator[tuple[str, Any]]:
    given = {name: f"$request.path.{name}" for name in re.findall(r"\{(\w+)\}", path)}
    for target, methods in paths.items():
        below = re.fullmatch(re.escape(path) + r"/\{(\w+)\}(/\w+)?", target)
        if below is None:
            continue
        for method in methods:
            name = re.sub(r"\W+", "_", f"{method}{below.group(2) or ''}")
            reference = "#/paths/" + target.replace("~", "~0").replace("/", "~1") + "/" + method
            yield name, {"operationRef": reference, "parameters": {**given, below.group(1): where}}


def _tidy(document: dict[str, Any]) -> None:
    """Say in JSON Schema's words what apispec says in OpenAPI 3.0's, and leave out what says nothing."""
    for schema in document["components"]["schemas"].values():
        for member in schema.get("properties", {}).values():
            if "example" in member:
                member["examples"] = [member.pop("example")]
            if member.get("default", ...) is None:
                del member["default"]
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                _tidy_parameter(parameter["schema"])


def _tidy_parameter(schema: dict[str, Any]) -> None:
    """A query parameter can be left out, but not null."""
    if schema.get("default", ...) is None:
        del schema["default"]
    if isinstance(schema.get("type"), list):
        schema["type"] = next(kind for kind in schema["type"] if kind != "null")
    if None in schema.get("enum", ()):
        schema["enum"] = [word for word in schema["enum"] if word is not None]


def _name_enumerations(document: dict[str, Any]) -> None:
    """Refer to each enumeration by its name wherever it stands inline."""
    names = {words: name for name, words in NAMED.items()}
    pending: list[Any] = [document]
    while pending:
        node = pending.pop()
        pending += node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        if isinstance(node, dict) and isinstance(node.get("enum"), list):
            words = tuple(word for word in node["enum"] if word is not None)
            if words in names:
                _refer(node, names[words], nullable=None in node["enum"])
    for name, known in NAMED.items():
        document["components"]["schemas"][name] = {"type": "string", "enum": list(known)}


def _refer(schema: dict[str, Any], name: str, *, nullable: bool) -> None:
    del schema["enum"], schema["type"]
    reference = {"$ref": f"#/components/schemas/{name}"}
    schema.update({"anyOf": [reference, {"type": "null"}]} if nullable else reference)
