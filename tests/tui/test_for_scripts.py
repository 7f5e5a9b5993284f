"""`qarax --once` and `qarax --screenshot`, as a script would call them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from qarax_tui.client.settings import ClientSettings
from qarax_tui.once import NOUNS, print_list
from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.world import furnish


@pytest.fixture
async def plane() -> AsyncIterator[ControlPlane]:
    async with ControlPlane() as running:
        furnish(running)
        yield running


async def qarax(plane: ControlPlane, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "qarax_tui.cli", "--server", plane.url, *arguments]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        env={**os.environ, "TERM": "dumb"},
    )
    output, errors = await process.communicate()
    return process.returncode or 0, output.decode(), errors.decode()


async def test_every_list_as_json_and_as_a_table(
    plane: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    plane.add("orphan", name="left-over", host_id=next(iter(plane.resources["host"])))
    for noun, (kind, _) in NOUNS.items():
        assert await asyncio.to_thread(print_list, ClientSettings(plane.url), noun, "json") == 0
        assert len(json.loads(capsys.readouterr().out)) == len(plane.resources[kind]) > 0
    _, table, _ = await qarax(plane, "--once", "transfers")
    assert table.split()[: len(NOUNS["transfers"][1])] == [word.upper() for word in NOUNS["transfers"][1]]
    assert "debian.raw" in table


async def test_an_unknown_list_names_the_known_ones(plane: ControlPlane) -> None:
    code, output, errors = await qarax(plane, "--once", "cats")
    assert (code, output) == (2, "")
    assert "orphans" in errors


async def test_a_server_that_is_not_there_is_a_sentence(plane: ControlPlane) -> None:
    await plane.kill()
    code, _, errors = await qarax(plane, "--once", "vms")
    assert code == 1
    assert "Nothing answers" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("options", "size", "shows"),
    [
        ((), "", "cloud hypervisor"),
        (("--size", "80x24", "--theme", "light"), "80x24", "paused"),
        (("--view", "vm/db-1"), "", "stands in"),
        (("--view", "orphans"), "", "First seen"),
        (("--view", "boot-sources"), "", "Command line"),
    ],
)
async def test_a_screenshot_is_a_picture_of_what_was_asked(
    plane: ControlPlane, tmp_path: Path, options: tuple[str, ...], size: str, shows: str
) -> None:
    file = tmp_path / "picture.svg"
    code, _, errors = await qarax(plane, "--screenshot", str(file), *options)
    assert (code, errors) == (0, "")
    picture = ET.fromstring(file.read_text())  # noqa: S314 - our own file
    words = "\n".join(picture.itertext())
    assert shows in words
    assert "url(" not in file.read_text().replace("url(#", "")
    rows = {float(text.get("y", "0")) for text in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert (len(rows) <= 25) == (size == "80x24")


async def test_a_screenshot_that_cannot_be_made_says_why(plane: ControlPlane, tmp_path: Path) -> None:
    file = str(tmp_path / "picture.svg")
    for view, sentence in (("cats", "There is no view"), ("vm/nobody", "There is no vm nobody")):
        code, _, errors = await qarax(plane, "--screenshot", file, "--view", view)
        assert code != 0
        assert sentence in errors
    code, _, errors = await qarax(plane, "--screenshot", str(tmp_path / "no" / "folder.svg"))
    assert code == 1
    assert "was not written" in errors
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--view", "hosts"), "--view and --size go with --screenshot"),
        (("--size", "80x24", "--once", "vms"), "--view and --size go with --screenshot"),
        (("-o", "json"), "-o goes with --once"),
        (("--once", "vms", "--screenshot", "x.svg"), "one at a time"),
    ],
)
async def test_what_would_be_ignored_is_refused(
    plane: ControlPlane, arguments: tuple[str, ...], sentence: str
) -> None:
    code, output, errors = await qarax(plane, *arguments)
    assert (code, output) == (2, "")
    assert sentence in errors
