"""A saved log is all of it, byte for byte, or says that it is not; a file that was there stays."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qarax_tui.client.api import Api
from qarax_tui.client.console import ConsoleFeed
from qarax_tui.client.console_file import Saved, save_log
from qarax_tui.client.errors import ClientError
from tests.fakes.control_plane import ControlPlane
from tests.tui.waiting import until

LOG = b"".join(b"line %d\r\n" % number for number in range(30_000)) + b"\x1b[31mred\x1b[0m \xff\x00\r\n"


@pytest.fixture
async def plane() -> AsyncIterator[ControlPlane]:
    async with ControlPlane() as running:
        yield running


@pytest.fixture
async def feed(plane: ControlPlane) -> AsyncIterator[ConsoleFeed]:
    vm = plane.add("vm", name="web", status="running")
    plane.console(vm).write(LOG)
    async with Api(plane.url) as api:
        following = ConsoleFeed(api, vm)
        await following.start()
        await until(lambda: following.ring.end_offset == len(LOG))
        yield following
        await following.stop()


async def test_what_the_dashboard_never_read_is_saved_too(feed: ConsoleFeed, tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    assert feed.ring.start_offset > 0
    assert await save_log(feed, path) == Saved(len(LOG), whole=True)
    assert path.read_bytes() == LOG
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_without_the_control_plane_what_was_read_is_saved(
    plane: ControlPlane, feed: ConsoleFeed, tmp_path: Path
) -> None:
    await plane.kill()
    await until(lambda: feed.state == "away")
    path = tmp_path / "web.log"
    saved = await save_log(feed, path)
    assert not saved.whole
    assert path.read_bytes() == LOG[-saved.written :]


async def test_a_file_that_is_there_is_never_overwritten(feed: ConsoleFeed, tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    path.write_text("precious")
    with pytest.raises(ClientError, match="was not written: File exists"):
        await save_log(feed, path)
    assert path.read_text() == "precious"


async def test_a_log_that_is_refused_leaves_no_file(
    plane: ControlPlane, feed: ConsoleFeed, tmp_path: Path
) -> None:
    plane.refuse("GET", f"/vms/{feed.vm_id}/console", 503, {"message": "The host does not answer."})
    with pytest.raises(ClientError, match="does not answer"):
        await save_log(feed, tmp_path / "web.log")
    assert not list(tmp_path.iterdir())
