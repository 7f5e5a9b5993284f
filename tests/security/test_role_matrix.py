"""Role × operation, from the OpenAPI document: every cell is tried on the real application."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from qarax_server.api import openapi
from qarax_server.api.application import make_application
from qarax_server.api.documented import needed_role
from qarax_server.roles import Role
from tests.security.guarded import Tokens, bearer
from tests.server.running import ControlPlane

pytestmark = pytest.mark.security

NOBODY = "00000000-0000-4000-8000-000000000000"
LET_IN = {200, 202, 204, 404, 405, 409, 422}
"""What a request may be answered with that got past the gate: these name nothing, or hold nothing."""

MAY_CHANGE_HOSTS = {
    ("post", "/hosts"),
    ("patch", "/hosts/{host_id}"),
    ("delete", "/hosts/{host_id}"),
    ("post", "/storage-pools"),
    ("delete", "/storage-pools/{pool_id}"),
}
OPEN_TO_ANYONE = {
    "/healthz",
    "/readyz",
    "/api-docs/openapi.json",
    "/swagger-ui",
    "/swagger-ui/{file}",
}


def operations() -> list[tuple[str, str, Role]]:
    """(method, path, role) of every operation, and HEAD for every GET that has it."""
    app = make_application()
    paths = openapi.write(app)["paths"]
    heads = {
        route.resource.canonical
        for route in app.router.routes()
        if route.method == "HEAD" and route.resource is not None
    }
    found = []
    for path, methods in paths.items():
        for method, operation in methods.items():
            role = Role(operation["x-role"])
            found.append((method, path, role))
            if method == "get" and path in heads:
                found.append(("head", path, role))
    return found


def callers(tokens: Tokens) -> Iterator[tuple[str, dict[str, str], Role | None]]:
    """(name, headers, role) of everybody who might come; None: nobody we know."""
    yield "no token", {}, None
    yield "an unknown token", bearer("qarax_" + "A" * 43), None
    yield "a digest as token", bearer("0" * 64), None
    yield "a password", {"Authorization": "Basic YWRtaW46YWRtaW4="}, None
    yield "an expired token", bearer(tokens.expired), None
    yield "a revoked token", bearer(tokens.revoked), None
    yield "a viewer", bearer(tokens.viewer), Role.VIEWER
    yield "an operator", bearer(tokens.operator), Role.OPERATOR
    yield "an admin", bearer(tokens.admin), Role.ADMIN


def expected(needed: Role, has: Role | None) -> set[int]:
    if needed is Role.ANYONE:
        return LET_IN
    if has is None:
        return {401}
    return LET_IN if has.covers(needed) else {403}


async def test_every_cell(plane: ControlPlane, tokens: Tokens, sizes: dict[str, int]) -> None:
    wrong: list[Any] = []
    cells = 0
    before = await count_events(plane)
    for method, path, needed in operations():
        concrete = re.sub(r"\{\w*id\}", NOBODY, path).replace("{file}", "start.js")
        for name, headers, has in callers(tokens):
            cells += 1
            body: dict[str, str] | None = {} if method in {"post", "patch", "put"} else None
            url = plane.url + concrete
            async with plane.session.request(method, url, json=body, headers=headers) as response:
                if response.status not in expected(needed, has):
                    wrong.append((name, method, path, needed, response.status))
    sizes["cells of the role matrix"] = cells
    assert wrong == []
    assert cells > 300
    assert await count_events(plane) == before, "nothing was changed"


async def count_events(plane: ControlPlane) -> Any:
    async with plane.server.core.database.connection() as connection:
        return await connection.fetch_value("SELECT count(*) FROM events")


def test_what_each_role_is_for() -> None:
    """Written by hand, so that a role that is changed by mistake shows."""
    for method, path, role in operations():
        if path in OPEN_TO_ANYONE:
            assert role is Role.ANYONE, path
        elif method in {"get", "head"}:
            assert role is Role.VIEWER, path
        elif (method, path) in MAY_CHANGE_HOSTS or path.startswith("/hosts"):
            assert role is Role.ADMIN, (method, path)
        else:
            assert role is Role.OPERATOR, (method, path)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nowhere"), ("PUT", "/vms"), ("OPTIONS", "/vms"), ("GET", "//vms")]
)
async def test_what_is_no_route_is_closed_too(
    plane: ControlPlane, tokens: Tokens, method: str, path: str
) -> None:
    assert (await plane.request(method, path))[0] == 401
    status, _, _ = await plane.request(method, path, **bearer(tokens.viewer))
    assert status in {204, 404, 405}


def test_a_handler_without_a_role_is_for_admins_alone() -> None:
    assert needed_role(lambda _: None) is Role.ADMIN
