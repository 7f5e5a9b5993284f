"""One table feeds everything: no key means two things in one view, and every row leads somewhere."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import replace
from importlib import import_module
from itertools import groupby
from pathlib import Path

import pytest

from qarax_tui import keymap
from qarax_tui.keys import ACTIONS, BY_ID, ROOT_VIEWS, Action, for_view
from qarax_tui.screens import later
from qarax_tui.screens.console import ConsolePage
from qarax_tui.screens.everywhere import HANDLERS
from qarax_tui.screens.host import HostView
from qarax_tui.screens.orphans import OrphansView
from qarax_tui.screens.own_actions import OwnActionsView
from qarax_tui.screens.roots import ROOTS
from qarax_tui.screens.view import View
from qarax_tui.screens.vm import VmView
from qarax_tui.screens.welcome import Welcome
from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import dashboard
from tests.tui.screens.world import furnish

VIEWS: dict[str, type[View]] = {
    **{view_id: type(make()) for view_id, make in ROOTS.items()},
    "vm": VmView,
    "console": ConsolePage,
    "actions": OwnActionsView,
    "host": HostView,
    "orphans": OrphansView,
}
PAGE = Path(__file__).parents[3] / "docs" / "dashboard.md"
BEGIN, END = "test_action_table.py -->\n", "<!-- end of keys -->"


def test_every_root_view_is_built() -> None:
    assert set(ROOTS) == set(ROOT_VIEWS)
    assert [VIEWS[view_id].view_id for view_id in ROOT_VIEWS] == list(ROOT_VIEWS)


def test_what_is_loaded_later_is_there() -> None:
    source = "".join(path.read_text() for path in Path(later.__file__).parent.glob("*.py"))
    named = re.findall(r'"([a-z_]+):([A-Za-z_]+)"', source)
    assert len(named) > len(ROOT_VIEWS)
    for module, name in named:
        assert hasattr(import_module(f"qarax_tui.screens.{module}"), name)


@pytest.mark.parametrize("view_id", VIEWS)
def test_no_key_means_two_things_in_a_view(view_id: str) -> None:
    keys = [key for action in for_view(view_id) for key in action.key.split(",")]
    assert [key for key, times in Counter(keys).items() if times > 1] == []


@pytest.mark.parametrize("view_id", VIEWS)
def test_every_action_of_a_view_has_a_handler(view_id: str) -> None:
    view = VIEWS[view_id]
    lost = [a.id for a in for_view(view_id) if not hasattr(view, f"do_{a.id}") and a.id not in HANDLERS]
    assert lost == []


def test_what_can_hurt_stays_off_the_keys_of_the_shell() -> None:
    shell = {"ctrl+a", "ctrl+d", "ctrl+k", "ctrl+u", "ctrl+w"}
    assert not [action.id for action in ACTIONS if action.dangerous and shell & set(action.key.split(","))]


def test_ids_are_unique() -> None:
    assert len(BY_ID) == len(ACTIONS)


def _load(folder: Path, text: str) -> keymap.Keymap:
    path = folder / "keys.yaml"
    path.write_text(text, encoding="utf-8")
    return keymap.load(path)


def test_a_key_file_moves_keys(tmp_path: Path) -> None:
    loaded = _load(tmp_path, "stop: ctrl+x\nfilter: f3\n")
    assert loaded.problems == ()
    assert loaded.shown(BY_ID["stop"]) == "ctrl+x"
    assert loaded.shown(BY_ID["start"]) == "s"


def test_no_key_file_is_no_problem(tmp_path: Path) -> None:
    assert keymap.load(tmp_path / "keys.yaml") == keymap.Keymap()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stop: s\n", "s is already Start"),
        ("explode: x\n", "no action explode"),
        ("stop: []\n", "write a key"),
        ("stop: on\n", "write a key"),
        ("stop: ' '\n", "write a key"),
        ("stop: ctlr+x\n", "ctlr+x is no key"),
        ("stop: SEMICOLON\n", "SEMICOLON is no key"),
        ("stop: f2,j\n", "j moves in lists"),
        ("start: x\nstop: s\npause: s\n", "s is already Pause"),
        ("stop: '?'\n", ": ? is already Help"),
        ("- stop\n", "expected lines"),
        ("stop: [\n", "not read"),
    ],
)
def test_what_a_key_file_cannot_mean_is_reported_and_changes_nothing(
    tmp_path: Path, text: str, said: str
) -> None:
    loaded = _load(tmp_path, text)
    assert said in loaded.problems[0]
    assert loaded.key(BY_ID["stop"]) == "x"


@pytest.mark.parametrize("key", ["f5", "ctrl+X", "alt+x", ";", "semicolon", "ä", "9"])
def test_keys_that_can_be_pressed(tmp_path: Path, key: str) -> None:
    assert _load(tmp_path, f"help: '{key}'\n").problems == ()


@pytest.mark.parametrize("text", ["start: x\nstop: s\npause: s\n", "stop: p\npause: r\nresume: r\n"])
def test_whatever_was_refused_no_key_does_two_things(tmp_path: Path, text: str) -> None:
    loaded = _load(tmp_path, text)
    assert loaded.problems
    for view_id in VIEWS:
        keys = [key for action in for_view(view_id) for key in loaded.key(action).split(",")]
        assert [key for key, times in Counter(keys).items() if times > 1] == []


async def test_sentences_and_dialogs_name_and_take_the_operators_own_keys(tmp_path: Path) -> None:
    keys = _load(tmp_path, "create: f2\nregister: f3\nhelp: f10\n")
    async with ControlPlane() as plane, dashboard(plane, keymap=keys) as desk:
        plane.add("host", name="alpha", status="up")
        await desk.until(lambda: "f2 creates one.  f10 shows all keys." in desk.text())
        plane.remove("host", next(iter(plane.resources["host"])))
        await desk.press("2")
        await desk.until(lambda: "f3 registers one" in desk.text())
        await desk.press("f10")
        assert "Keys here" in desk.text()
        await desk.press("f10")
        assert desk.screen is desk.main


async def test_the_first_sentences_name_the_operators_own_keys(tmp_path: Path) -> None:
    keys = _load(tmp_path, "stop: f4\nmark: f5\nhosts: f6\nregister: f7\nup: f8\nopen_host: f9\n")
    async with ControlPlane() as plane, dashboard(plane, (120, 40), keymap=keys) as desk:
        assert "f6 shows the hosts: f7 registers one, f8 takes it up." in desk.text()
        await desk.app.push_screen(Welcome(keys))
        assert "f4 stops it" in desk.text()
        assert "f5 marks rows" in desk.text()
        await desk.press("enter")
        host = plane.add("host", name="alpha", status="up")
        for number in range(20):
            plane.add("vm", name=f"vm-{number}", host_id=host)
        await desk.until(lambda: "20 VMs" in desk.text())
        await desk.press("f6", "enter")
        await desk.until(lambda: "and 8 more; f9 shows all" in desk.text())


def test_two_actions_may_trade_their_keys(tmp_path: Path) -> None:
    loaded = _load(tmp_path, "stop: s\nstart: x\n")
    assert loaded.problems == ()
    assert loaded.key(BY_ID["stop"]) == "s"


def _key_tables() -> str:
    """The action table as the documentation shows it."""
    parts = []
    for group, actions in groupby(sorted(ACTIONS, key=_group_place), key=lambda action: action.group):
        rows = [f"| {_keys(action.key)} | `:{action.command}` | {_told(action.help)} |" for action in actions]
        parts.append(f"**{group}**\n\n| key | command | |\n|---|---|---|\n" + "\n".join(rows) + "\n")
    return "\n" + "\n".join(parts) + "\n"


def _group_place(action: Action) -> int:
    return [one.group for one in ACTIONS].index(action.group)


def _keys(keys: str) -> str:
    return " ".join(f"`{keymap.Keymap().shown(replace(ACTIONS[0], key=key))}`" for key in keys.split(","))


def _told(text: str) -> str:
    return text.replace("|", "\\|")


def test_the_documentation_has_every_key() -> None:
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    tables, tail = rest.split(END)
    if os.environ.get("SNAPSHOTS") == "write":
        PAGE.write_text(f"{head}{BEGIN}{_key_tables()}{END}{tail}", encoding="utf-8")
        return
    assert tables == _key_tables(), "docs/dashboard.md is older than the action table; SNAPSHOTS=write"


async def test_the_footer_of_a_running_transfer_has_room_for_its_cancel() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane, (80, 24)) as desk:
            await desk.press("3", "j")
            assert "x Cancel" in desk.text().splitlines()[-1]


async def test_a_list_without_a_row_offers_nothing_to_read_or_to_go_to() -> None:
    async with ControlPlane() as plane, dashboard(plane) as desk:
        for view in "3568":
            await desk.press(view)
            assert desk.table.table.cursor_id is None
            footer = desk.text().splitlines()[-1]
            assert "Read" not in footer
            assert "Go to" not in footer
