"""From a guest to an operator's terminal: the corpus of hostile sequences through every view and `--once`.

kubectl passed what objects were called to the terminal as it was (CVE-2021-25743), so that a name could move
the cursor, hide lines and answer prompts.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator

import pytest

from qarax_tui.client.console_text import clean_block
from qarax_tui.client.ring import ConsoleRing
from qarax_tui.client.sanitise import UNSAFE
from qarax_tui.keys import ROOT_VIEWS
from qarax_tui.once import NOUNS
from tests.fakes.control_plane import ControlPlane
from tests.security.guarded import run
from tests.tui.client.test_console_text import CORPUS
from tests.tui.screens.dashboard import Desk, dashboard

pytestmark = pytest.mark.security

MARKUP = ("[/]", "[bold]x", "[@click=app.quit]x[/]", "[link=http://example.org]x", "\\[", "$x", "{0}", "%s")
NAMES = [*MARKUP, *dict.fromkeys(sequence.decode("utf-8", "surrogateescape") for sequence in CORPUS)]
SHOWN = [*MARKUP, *(name for name in NAMES if name.startswith("before "))]
"""Each sequence once, inside text."""

AT_ONCE = 330
"""Objects of a kind in one dashboard."""

AT_A_LOOK = 40
"""Sequences in the fields of one object."""


def chunks() -> Iterator[list[str]]:
    for first in range(0, len(SHOWN), AT_ONCE):
        yield SHOWN[first : first + AT_ONCE]


def assert_clean(text: str, where: str) -> None:
    strange = {
        each for each in text if each != "\n" and unicodedata.category(each) in {"Cc", "Cf", "Cs", "Co"}
    }
    assert strange == set(), where


def fill(plane: ControlPlane, names: list[str]) -> None:
    """An object of every kind for each name, which is in all its fields that are text."""
    for name in names:
        host = plane.add("host", name=name, address=name, status="up", status_reason=name)
        pool = plane.add("storage_pool", name=name, config={"path": name})
        plane.add("storage_object", name=name, storage_pool_id=pool)
        plane.add("transfer", name=name, source=name, storage_pool_id=pool, error_message=name)
        plane.add("orphan", name=name, host_id=host)
        plane.add("boot_source", name=name, description=name, kernel_params=name)
        vm = plane.add("vm", name=name, status="running", status_reason=name, host_id=host, description=name)
        plane.add("operation", subject_name=name, reason=name, actor=name, subject_id=vm, status="failed")


def test_the_corpus_is_large(sizes: dict[str, int]) -> None:
    assert len(set(CORPUS)) >= 500
    sizes["hostile sequences"] = len(set(CORPUS))


def test_a_console_cut_at_every_byte_shows_the_same_and_nothing_else(sizes: dict[str, int]) -> None:
    cuts = 0
    for sequence in CORPUS:
        data = b"one " + sequence + b" two\r\nthree\r\n"
        whole = clean_block(data)
        assert not any(UNSAFE.search(line) for line in whole), sequence
        for cut in range(1, len(data)):
            ring = ConsoleRing()
            ring.append(data[:cut])
            assert not any(UNSAFE.search(line.text) for line in ring.lines(ring.first, 10)), (sequence, cut)
            ring.append(data[cut:])
            assert [line.text for line in ring.lines(ring.first, 10)] == whole, (sequence, cut)
            cuts += 1
    sizes["cuts of hostile sequences"] = cuts


@pytest.mark.timeout(300)
async def test_every_view_shows_every_hostile_name_as_text(sizes: dict[str, int]) -> None:
    screens = 0
    for names in chunks():
        async with ControlPlane() as plane:
            fill(plane, names)
            async with dashboard(plane, (160, 60)) as desk:
                for view in ROOT_VIEWS:
                    screens += await look_through(desk, view)
    sizes["screens looked at"] = screens


async def look_through(desk: Desk, view: str) -> int:
    """Look at a list from its top to its end; how many screens that were."""
    await desk.main.show_root(view)
    await desk.pilot.pause()
    seen: set[str] = set()
    while (text := desk.text()) not in seen and len(seen) < AT_ONCE:
        assert_clean(text, view)
        seen.add(text)
        await desk.press("pagedown")
    return len(seen)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("view", "details", "noun"), [("vms", "vm", "vm"), ("hosts", "host", "host")])
async def test_details_and_dialogs_show_it_as_text(view: str, details: str, noun: str) -> None:
    parts = [SHOWN[first : first + AT_A_LOOK] for first in range(0, len(SHOWN), AT_A_LOOK)]
    async with ControlPlane() as plane:
        for part in parts:
            text = " ".join(part)
            plane.add(noun, name=f"{part[0]} {part[-1]}", description=text, address=text, status_reason=text)
        async with dashboard(plane, (160, 60)) as desk:
            await desk.main.show_root(view)
            for _ in parts:
                await desk.press("enter")
                await desk.until(lambda: desk.main.view.view_id == details)
                assert_clean(desk.text(), details)
                await desk.press("D")
                await desk.until(lambda: desk.screen is not desk.main)
                assert_clean(desk.text(), f"the question before deleting a {noun}")
                await desk.press("escape", "escape")
                await desk.until(lambda: desk.main.view.view_id == view)
                await desk.press("down")


async def test_a_console_on_the_screen_shows_the_corpus_as_text() -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web", status="running")
        async with dashboard(plane, (160, 60)) as desk:
            await desk.press("c")
            await desk.until(lambda: desk.main.view.view_id == "console")
            console = plane.console(vm)
            for number, sequence in enumerate(CORPUS):
                middle = len(sequence) // 2
                console.write(sequence[:middle])
                console.write(sequence[middle:] + b"\x18\r\n")
                if number % 50 == 0:
                    mark = f"line-{number}-is-here"
                    console.write(mark.encode() + b"\r\n")
                    await desk.until(lambda mark=mark: mark in desk.text())  # type: ignore[misc]
                    assert_clean(desk.text(), mark)


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("output", ["table", "json"])
async def test_once_prints_every_hostile_name_as_text(noun: str, output: str) -> None:
    async with ControlPlane() as plane:
        fill(plane, NAMES)
        ended = await run("qarax_tui.cli", "--server", plane.url, "--once", noun, "-o", output)
        assert ended.status == 0, ended.err
        assert_clean(ended.out, noun)
        if output == "json":
            assert len(json.loads(ended.out)) == len(NAMES)
            assert ended.out.isascii()
        else:
            assert len(ended.out.splitlines()) == len(NAMES) + 1, "no name makes a line of its own"
