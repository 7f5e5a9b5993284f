"""The embedded PostgreSQL: peers only, crash leftovers, clear sentences."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psycopg2
import pytest

from qarax_tui.stack.errors import StackError
from qarax_tui.stack.postgres import Postgres
from tests.postgres import TestDatabase, TestServer


def test_a_test_database_has_the_schema(database_settings: TestDatabase) -> None:
    with (
        contextlib.closing(psycopg2.connect(database_settings.dsn)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT count(*) FROM vms")
        assert cursor.fetchone() == (0,)


def test_it_listens_on_no_network(postgres: TestServer) -> None:
    with (
        contextlib.closing(psycopg2.connect(postgres.database("postgres").dsn)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SHOW listen_addresses")
        assert cursor.fetchone() == ("",)


def test_a_path_too_long_for_a_socket_is_refused_by_name(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    with pytest.raises(StackError, match=r"107 bytes.*--state-dir"):
        Postgres(deep, tmp_path / "log").prepare()
