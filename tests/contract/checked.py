"""A client that holds every answer against the OpenAPI document and remembers which operations it used."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jsonschema
from aiohttp import ClientSession


@dataclass
class Answered:
    """What came back: the decoded body for JSON, the text otherwise."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass
class CheckedClient:
    """Requests to `url`; `covered` holds (method, path template) of all of them."""

    url: str
    session: ClientSession
    document: dict[str, Any]
    covered: set[tuple[str, str]] = field(default_factory=set)

    @property
    def operations(self) -> set[tuple[str, str]]:
        """Every operation of the document."""
        paths = self.document["paths"].items()
        return {(method, path) for path, methods in paths for method in methods}

    async def call(
        self, method: str, path: str, body: Any = None, *, expect: int, headers: dict[str, str] | None = None
    ) -> Answered:
        """Make a request that must be answered with a status; check the answer against the document."""
        data = None if body is None else json.dumps(body)
        async with self.session.request(method, self.url + path, data=data, headers=headers) as response:
            text = await response.text()
            kind = response.content_type
            parsed = json.loads(text) if kind == "application/json" else text
            answered = Answered(response.status, parsed, response.headers)
        assert answered.status == expect, (method, path, answered.status, text)
        self._check(method.lower(), path.partition("?")[0], answered, kind)
        return answered

    async def create(self, path: str, body: Any) -> str:
        """POST and return the bare id, as clients of the contract do."""
        answered = await self.call("POST", path, body, expect=201)
        assert answered.headers["Content-Type"].startswith("text/plain")
        assert answered.headers["Location"] == f"{path}/{answered.body}"
        return str(answered.body)

    async def get(self, path: str) -> Any:
        """GET the body of a 200."""
        return (await self.call("GET", path, expect=200)).body

    def _check(self, method: str, path: str, answered: Answered, kind: str) -> None:
        template = self._template(path)
        self.covered.add((method, template))
        responses = self.document["paths"][template][method]["responses"]
        assert str(answered.status) in responses, (method, template, answered.status, "is not documented")
        response = responses[str(answered.status)]
        if "$ref" in response:
            response = self.document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        if answered.status == 204:
            assert answered.body == ""
            return
        assert kind in response["content"], (method, template, kind)
        schema = {**response["content"][kind]["schema"], "components": self.document["components"]}
        checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
        jsonschema.Draft202012Validator(schema, format_checker=checker).validate(answered.body)
        assert answered.headers["x-request-id"]

    def _template(self, path: str) -> str:
        """The path of the document that matches; one without parameters wins."""
        matching = [
            template
            for template in self.document["paths"]
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)
        ]
        return min(map(str, matching), key=lambda template: template.count("{"))
