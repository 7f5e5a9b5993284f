"""The document says what is so: valid, complete, with examples that its own schemas accept, and not stale."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

from qarax_server.api import openapi, schemas
from qarax_server.api.application import make_application
from tests.server.api.conftest import Client, get

ROOT = Path(__file__).resolve().parents[3]

ENUMERATIONS = {
    "HostStatus": "unknown down installing installation_failed initializing up",
    "VmStatus": "unknown created running paused shutdown",
    "Hypervisor": "cloud_hv",
    "Driver": "cloud_hypervisor qemu simulated",
    "StoragePoolType": "local nfs",
    "StoragePoolStatus": "active inactive error",
    "StorageObjectType": "disk kernel initrd iso snapshot",
    "TransferType": "download local_copy",
    "TransferStatus": "pending running completed failed",
    "InterfaceType": "macvtap tap vhost_user",
    "VhostMode": "client server",
    "DeployMode": "direct bootc",
}
OPERATION_IDS = {
    "hosts": "list create get delete update deploy",
    "storage-pools": "list create get delete",
    "storage-objects": "list create get delete",
    "transfers": "list create get",
    "boot-sources": "list create get delete",
    "vms": "list create get delete update start stop pause resume metrics",
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.write(make_application())


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    """But for operation ids, which repeat per tag on purpose."""
    errors = [
        error
        for error in OpenAPIV31SpecValidator(document).iter_errors()
        if type(error).__name__ != "DuplicateOperationIDError"
    ]
    assert errors == []


def test_operation_ids_are_unique_within_their_tag(document: dict[str, Any]) -> None:
    names = [(operation["tags"][0], operation["operationId"]) for _, _, operation in operations(document)]
    assert len(names) == len(set(names))


def test_it_holds_every_route_and_nothing_else(document: dict[str, Any]) -> None:
    routes = {
        (route.resource.canonical, route.method.lower())
        for route in make_application().router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert {(path, method) for path, method, _ in operations(document)} == routes


def contents(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every body and answer: where it is, and its media type object."""
    for name, response in document["components"]["responses"].items():
        yield from ((name, media) for media in response["content"].values())
    for path, method, operation in operations(document):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            yield from ((f"{method} {path}", media) for media in body.get("content", {}).values())


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    seen = 0
    for where, media in contents(document):
        if "example" in media:
            schema = {**media["schema"], "components": document["components"]}
            jsonschema.validate(media["example"], schema)
            seen += 1
        else:
            assert "/swagger-ui" in where or "/api-docs" in where, where
    assert seen > 50


def test_every_refusal_is_an_error_in_the_one_shape(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert answer["$ref"].startswith("#/components/responses/"), (path, method, status)
    for name, response in document["components"]["responses"].items():
        reference = response["content"]["application/json"]["schema"]["$ref"]
        assert reference == "#/components/schemas/Error", name


def test_the_contract_s_schema_names_are_there(document: dict[str, Any]) -> None:
    written = set(document["components"]["schemas"])
    assert {"NewStoragePool", "StoragePool", "NewTransfer", "Transfer", "BootSource", "Error"} <= written
    assert {type(getattr(schemas, name)()).__name__ for name in schemas.__all__} == set(schemas.__all__)


def test_enumerations_hold_what_clients_of_the_contract_know(
    document: dict[str, Any],
) -> None:
    for name, words in ENUMERATIONS.items():
        assert set(document["components"]["schemas"][name]["enum"]) == set(words.split()), name


def test_operations_are_called_as_the_contract_calls_them(document: dict[str, Any]) -> None:
    found: dict[str, set[str]] = {}
    for _, _, operation in operations(document):
        found.setdefault(operation["tags"][0], set()).add(operation["operationId"])
    for tag, names in OPERATION_IDS.items():
        assert set(names.split()) <= found[tag], tag


def test_the_committed_file_is_not_stale() -> None:
    written = subprocess.run(
        [sys.executable, "-m", "qarax_server.api.openapi"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout
    committed = (ROOT / "openapi.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(written) == yaml.safe_load(committed), "run: make openapi"


async def test_it_is_served_with_swagger_ui_from_here_alone(api: Client, document: dict[str, Any]) -> None:
    assert await get(api, "/api-docs/openapi.json") == document
    async with api.get("/swagger-ui?url=https://example.org/evil.json") as response:
        page = await response.text()
        assert "https://" not in page
        assert "script-src 'self';" in response.headers["Content-Security-Policy"]
    for name, kind in (
        ("swagger-ui.css", "text/css"),
        ("swagger-ui-bundle.js", "text/javascript"),
        ("", "text/html"),
    ):
        async with api.get(f"/swagger-ui/{name}") as response:
            assert (response.status, response.content_type) == (200, kind)
    async with api.get("/swagger-ui/..%2f__init__.py") as response:
        assert response.status == 404
