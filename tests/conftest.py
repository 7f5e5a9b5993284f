"""What every test folder shares: the session's PostgreSQL, a database of one's own, the guest image."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import secret_scan
from tests.guest_image import GuestImage, build_guest_image
from tests.postgres import TestDatabase, TestServer, running_postgres

pytest_plugins = ("tests.faults.table",)


pytest_runtest_teardown = secret_scan.pytest_runtest_teardown


@pytest.fixture(scope="session")
def postgres() -> Iterator[TestServer]:
    """The session's server: `.host` (the folder of its socket), `.port`, `.user`."""
    with running_postgres() as server:
        server.migrate_template()
        yield server


@pytest.fixture
def database_settings(postgres: TestServer) -> Iterator[TestDatabase]:
    """A migrated database of this test alone."""
    with postgres.fresh_database() as database:
        yield database


@pytest.fixture
def empty_database(postgres: TestServer) -> Iterator[TestDatabase]:
    """A database of this test alone with no schema at all."""
    with postgres.fresh_database("template0") as database:
        yield database


@pytest.fixture(scope="session")
def guest_image(tmp_path_factory: pytest.TempPathFactory) -> GuestImage:
    """`.kernel`, `.initramfs`, `.root_disk` of the small Linux guest of `hack/guest-image`."""
    return build_guest_image(tmp_path_factory.mktemp("guest-image"))
