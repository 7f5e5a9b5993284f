"""`qarax-server ca` as an operator runs it, and what the programs refuse to start with."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import psycopg2
import pytest
from cryptography import x509

from qarax_server.certificates import Authority
from qarax_server.errors import SettingsError
from tests.ports import free_port
from tests.postgres import TestDatabase
from tests.security.guarded import Ended, run
from tests.security.tls import Ca

pytestmark = pytest.mark.security

HOST_ID = "5b0f3c62-9a1e-4f57-8f1b-3a52f5cf0f11"


async def ca_command(database: TestDatabase, *arguments: object) -> Ended:
    return await run("qarax_server.app", "ca", *map(str, arguments), **database.environment)


@pytest.fixture
def host(database_settings: TestDatabase) -> str:
    """The id of a registered host called web-1."""
    connection = psycopg2.connect(database_settings.dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO hosts (id, name, address, port, host_user) VALUES (%s, 'web-1', '10.0.0.7', 1, 'r')",
            (HOST_ID,),
        )
    connection.close()
    return HOST_ID


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_ca_is_made_once_and_never_overwritten(
    database_settings: TestDatabase, tmp_path: Path
) -> None:
    place = tmp_path / "tls"
    made = await ca_command(database_settings, "init", "--directory", place)
    assert made.status == 0, made.err
    assert f"node_tls.directory: {place}" in made.out
    assert (mode(place), mode(place / "ca.key"), mode(place / "server" / "key.pem")) == (0o700, 0o600, 0o600)
    before = (place / "ca.key").read_bytes()
    again = await ca_command(database_settings, "init", "--directory", place)
    assert (again.status, again.out) == (1, "")
    assert "a CA is never overwritten" in again.err
    assert (place / "ca.key").read_bytes() == before
    (place / "ca.pem").unlink()
    assert (await ca_command(database_settings, "init", "--directory", place)).status == 1, "its key is there"
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    open_to_all = await ca_command(database_settings, "init", "--directory", shared)
    assert "can be written by others" in open_to_all.err
    assert list(shared.iterdir()) == []


async def test_a_hosts_certificate_carries_its_id_and_is_renewed_when_asked(
    database_settings: TestDatabase, tmp_path: Path, host: str
) -> None:
    ca = Ca(tmp_path / "tls")
    issue = ("issue", "--directory", ca.directory)
    made = await ca_command(database_settings, *issue, "web-1", "--days", 90)
    assert made.status == 0, made.err
    folder = ca.directory / "hosts" / "web-1"
    assert f"scp {folder}/*.pem r@10.0.0.7:/etc/qarax/tls/" in made.out
    first = (folder / "certificate.pem").read_bytes()
    names = (
        x509.load_pem_x509_certificate(first)
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"qarax://host/{host}"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.7"]
    assert (mode(folder), mode(folder / "key.pem")) == (0o700, 0o600)
    again = await ca_command(database_settings, *issue, host)
    assert "left as it is" in again.out
    assert (folder / "certificate.pem").read_bytes() == first
    renewed = await ca_command(database_settings, *issue, host, "--renew", "--days", 90)
    assert "restart its node, which touches no VM" in renewed.out
    assert (folder / "certificate.pem").read_bytes() != first
    elsewhere = await ca_command(database_settings, *issue, host, "--output", tmp_path / "out")
    assert elsewhere.status == 0
    assert sorted(path.name for path in (tmp_path / "out" / "web-1").iterdir()) == [
        "ca.pem",
        "certificate.pem",
        "key.pem",
    ]
    server = await ca_command(database_settings, "issue", "--server", "--directory", ca.directory, "--renew")
    assert "Restart qarax-server" in server.out


async def test_a_certificate_near_its_end_or_of_another_ca_is_made_anew_unasked(
    database_settings: TestDatabase, tmp_path: Path, host: str
) -> None:
    ca = Ca(tmp_path / "tls")
    folder = ca.for_host(host, "web-1")  # for another address
    issue = ("issue", "--directory", ca.directory, "web-1", "--days", 1)
    for _ in range(2):
        before = (folder / "certificate.pem").read_bytes()
        made = await ca_command(database_settings, *issue)
        assert "valid until" in made.out, (made.out, made.err)
        assert (folder / "certificate.pem").read_bytes() != before
        # of two days one is over: it is good for longer; a strange key makes it useless
        assert "left as it is" in (await ca_command(database_settings, *issue)).out
        (folder / "key.pem").write_bytes((ca.directory / "ca.key").read_bytes())


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("issue", "nobody"), 1, "no host is registered as nobody"),
        (("issue",), 1, "takes the names or ids of hosts, or --server"),
        (("issue", "--days", "0", "x"), 2, "'0' is no number of days"),
        (("issue", "--", "--server"), 1, "no host is registered as --server"),
        (("init",), 1, "a CA is never overwritten"),
    ],
)
async def test_what_is_refused_is_said_in_a_sentence(
    database_settings: TestDatabase, tmp_path: Path, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    Ca(tmp_path / "tls")
    settings = {"QARAX__NODE_TLS__DIRECTORY": str(tmp_path / "tls")}
    ended = await run("qarax_server.app", "ca", *arguments, **database_settings.environment, **settings)
    assert (ended.status, ended.out) == (status, "")
    assert sentence in ended.err
    assert "Traceback" not in ended.err


def test_no_address_can_be_taken_for_another_hosts_identity() -> None:
    ca = Authority.create()
    for address in (f"{HOST_ID}.hosts.qarax.internal", f"{HOST_ID}.HOSTS.qarax.internal."):
        with pytest.raises(SettingsError, match="no certificate can be made"):
            ca.issue_for_host("another", "evil", address)


@pytest.mark.parametrize("broken", ["missing", "readable", "no pem", "half"])
async def test_neither_program_starts_with_files_that_are_not_fit(tmp_path: Path, broken: str) -> None:
    ca = Ca(tmp_path / "tls")
    host, server = ca.for_host(HOST_ID, "h"), ca.directory / "server"
    for folder in (host, server):
        key = folder / "key.pem"
        if broken == "missing":
            key.unlink()
        elif broken == "readable":
            key.chmod(0o644)
        elif broken == "no pem":
            (folder / "certificate.pem").write_text("hello")
        else:
            key.write_bytes(ca.authority.key_pem)
    node = await run(
        *("qarax_node.app", "--driver", "simulated", "--port", str(free_port())),
        *("--runtime-dir", str(tmp_path / "n"), "--tls-directory", str(host)),
    )
    environment = {"QARAX__NODE_TLS__DIRECTORY": str(ca.directory), "DATABASE_PORT": "1"}
    plane = await run("qarax_server.app", "--port", str(free_port()), **environment)
    for ended in (node, plane):
        assert ended.status == 1, ended.err
        assert "Traceback" not in ended.err
        assert len(ended.err.splitlines()) == 1, ended.err
        assert re.search(r"key\.pem|PEM|key values mismatch", ended.err), ended.err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "node.example"])
async def test_a_node_does_not_listen_beyond_loopback_without_tls(tmp_path: Path, host: str) -> None:
    ended = await run(
        *("qarax_node.app", "--driver", "simulated", "--host", host, "--port", str(free_port())),
        *("--runtime-dir", str(tmp_path / "n")),
    )
    assert ended.status == 1
    assert ended.err.count("\n") == 1
    assert f"--host {host} is beyond loopback and there is no --tls-directory" in ended.err


async def test_files_of_the_programs_are_their_owners_alone(
    database_settings: TestDatabase, tmp_path: Path
) -> None:
    """Whatever umask they were started with."""
    before = os.umask(0o000)
    try:
        made = await ca_command(database_settings, "init", "--directory", tmp_path / "a" / "tls")
    finally:
        os.umask(before)
    assert made.status == 0
    assert mode(tmp_path / "a") == 0o700
