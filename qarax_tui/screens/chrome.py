"""What stands around every view: header, tabs, breadcrumbs, banner, footer.

They only draw; the main screen decides what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import events
from textual.content import Content
from textual.style import Style
from textual.widgets import Static

from qarax_tui.keys import BY_ID, ROOT_VIEWS, Action
from qarax_tui.messages import Climb, Perform
from qarax_tui.screens.format import duration

if TYPE_CHECKING:
    from qarax_tui.keymap import Keymap

_OLD_AFTER_SECONDS = 15
_LEAST_ROOM = 8
_PINNED = 90
"""Footer places from here on are kept at the right end, whatever else has no room."""


@dataclass(frozen=True, slots=True)
class Link:
    """How things stand with the control plane. `age` is the age of the data in seconds, None before any."""

    server: str
    state: str
    sentence: str
    age: float | None
    since: float | None = None


class Bar(Static):
    """One line. A piece of text made by `clickable` performs its action when it is clicked."""

    ALLOW_SELECT = False
    _shows: tuple[object, ...] = ()

    def news(self, *facts: object) -> bool:
        """Whether these facts, or the width of the line, are other ones than it shows."""
        seen, self._shows = self._shows, (self.size.width, *facts)
        return self._shows != seen

    def on_click(self, event: events.Click) -> None:
        meta = event.style.meta
        if meta.get("action_id") in BY_ID:
            self.post_message(Perform(meta["action_id"]))
        elif "depth" in meta:
            self.post_message(Climb(meta["depth"]))


def clickable(text: str, style: str, action_id: str) -> Content:
    """Text that performs an action when it is clicked."""
    return Content.styled(text, style).stylize(Style.from_meta({"action_id": action_id}))


def spread(left: Content, right: Content, width: int, *, keep_left: bool = False) -> Content:
    """Two parts of a line. Without room the left one gives way down to its beginning, else the right one."""
    least = left.cell_length if keep_left else min(left.cell_length, max(_LEAST_ROOM, width // 3))
    if right.cell_length + 1 + least > width:
        right = right.truncate(max(0, width - least - 1), ellipsis=True)
    room = width - right.cell_length - 1
    return Content.assemble(left.truncate(room, ellipsis=True, pad=True), " ", right)


class Header(Bar):
    """Program, server, connection, age of the data; the lock when read-only."""

    def draw(self, link: Link, summary: str, *, read_only: bool) -> None:
        glyph, style, words = _state(link)
        if not self.news(link.server, words, summary, read_only):
            return
        left = Content.assemble(
            (" qarax ", "bold $on-deep on $primary"),
            "  ",
            (link.server, "$foreground"),
            "  ",
            (f"{glyph} {words}", style),
        )
        lock = ("READ-ONLY  " if read_only else "", "bold $warning")
        right = Content.assemble(lock, (summary, "$muted"), (" ", "bold $warning"))
        self.update(spread(left, right, self.size.width, keep_left=True), layout=False)


def _state(link: Link) -> tuple[str, str, str]:
    if link.state == "live":
        if link.age is not None and link.age > _OLD_AFTER_SECONDS:
            return "◐", "$warning", f"live, data {duration(link.age)} old"
        return "●", "$success", "live"
    if link.state == "away":
        return "✖", "$error", "away"
    return "◌", "$warning", link.state


class Tabs(Bar):
    """The root views with their keys; the open one stands out."""

    def draw(self, current: str, keymap: Keymap) -> None:
        if not self.news(current, keymap):
            return
        parts: list[Content] = [Content(" ")]
        for view in ROOT_VIEWS:
            action = BY_ID[view]
            here = view == current
            key = clickable(f" {keymap.shown(action)} ", "bold $primary" if here else "$muted", view)
            label = clickable(f"{action.label} ", "bold $foreground" if here else "$muted", view)
            parts += [
                Content.assemble(key, label).stylize("on $panel") if here else Content.assemble(key, label)
            ]
        self.update(Content("").join(parts).truncate(self.size.width or 80, ellipsis=True), layout=False)


class Crumbs(Bar):
    """Where the operator is, and what part of the list is shown."""

    def draw(self, trail: Sequence[tuple[str, int]], note: Content) -> None:
        """`trail` is names, each with how many views are beneath the one it belongs to."""
        if not self.news(trail, note.plain, note.spans):
            return
        parts: list[Content | tuple[str, str]] = [(" ", "")]
        for place, (name, depth) in enumerate(trail):
            last = place == len(trail) - 1
            style = Style.from_meta({"depth": depth})
            parts.append(Content.styled(name, "bold $foreground" if last else "$muted").stylize(style))
            if not last:
                parts.append((" › ", "$secondary"))
        line = spread(Content.assemble(*parts), Content.assemble(note, " "), self.size.width)
        self.update(line, layout=False)


class Banner(Bar):
    """Shown only while the server is away: since when, how old the data is, that everything stays usable."""

    def draw(self, link: Link) -> None:
        away = link.state != "live" and link.sentence != ""
        self.display = away
        if away:
            age = "" if link.age is None else f" The data is {duration(link.age)} old."
            text = f" {link.sentence.rstrip('. ')}.{age} Trying again."
            if self.news(text):
                self.update(Content(text).truncate(self.size.width or 80, ellipsis=True), layout=False)


class Footer(Bar):
    """The keys that work here and now, most wanted first, as many as fit."""

    def say(self, hint: str) -> None:
        if self.news(hint):
            self.update(Content.styled(f" {hint}", "$warning"), layout=False)

    def draw(self, actions: Sequence[Action], keymap: Keymap) -> None:
        if not self.news(*actions):
            return
        width = (self.size.width or 80) - 1
        parts: list[Content] = [Content(" ")]
        used = 1
        pinned = [action for action in actions if action.footer >= _PINNED]
        wanted = [action for action in actions if 0 < action.footer < _PINNED]
        reserve = sum(len(keymap.shown(action)) + len(action.label) + 3 for action in pinned)
        for action in sorted(wanted, key=lambda one: one.footer):
            need = len(keymap.shown(action)) + len(action.label) + 3
            if used + need > width - reserve:
                break
            parts.append(_hint(action, keymap))
            used += need
        parts += [_hint(action, keymap) for action in pinned]
        self.update(Content("").join(parts), layout=False)


def _hint(action: Action, keymap: Keymap) -> Content:
    colour = "$warning" if action.dangerous else "$primary"
    return Content.assemble(
        clickable(keymap.shown(action), f"bold {colour}", action.id),
        clickable(f" {action.label}", "$muted", action.id),
        "  ",
    )
