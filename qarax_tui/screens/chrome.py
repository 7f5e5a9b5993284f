"""What stands around every view: header, tabs, breadcrumbs, banner, footer.

They only draw; the main screen decides what.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import events
from textual.content import Content
from textual.style import Style
from textual.widgets import Static

from qarax_tui.keys import BY_ID, ROOT_VIEWS, Action
from qarax_tui.messages import Perform
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


def same(one: Content, other: object) -> bool:
    """Whether two texts look the same; `Content` compares without its styles."""
    return isinstance(other, Content) and one.plain == other.plain and one.spans == other.spans


class Bar(Static):
    """One line. A piece of text made by `clickable` performs its action when it is clicked."""

    ALLOW_SELECT = False

    def on_click(self, event: events.Click) -> None:
        action_id = event.style.meta.get("action_id")
        if action_id in BY_ID:
            self.post_message(Perform(action_id))

    def put(self, content: Content) -> None:
        """Paint only when something differs."""
        if not same(content, self.content):
            self.update(content, layout=False)


def clickable(text: str, style: str, action_id: str) -> Content:
    """Text that performs an action when it is clicked."""
    return Content.styled(text, style).stylize(Style.from_meta({"action_id": action_id}))


def spread(left: Content, right: Content, width: int) -> Content:
    """Left and right parts of a line; the left one gives way when there is no room."""
    room = width - right.cell_length - 1
    if room < _LEAST_ROOM:
        return left.truncate(width, ellipsis=True)
    return Content.assemble(left.truncate(room, ellipsis=True, pad=True), " ", right)


class Header(Bar):
    """Program, server, connection, age of the data; the lock when read-only."""

    def draw(self, link: Link, summary: str, *, read_only: bool) -> None:
        glyph, style, words = _state(link)
        left = Content.assemble(
            (" qarax ", "bold $background on $primary"),
            "  ",
            (link.server, "$foreground"),
            "  ",
            (f"{glyph} {words}", style),
        )
        right = Content.assemble((summary, "$muted"), ("  READ-ONLY " if read_only else " ", "bold $warning"))
        self.put(spread(left, right, self.size.width))


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
        parts: list[Content] = [Content(" ")]
        for view in ROOT_VIEWS:
            action = BY_ID[view]
            here = view == current
            key = clickable(f" {keymap.shown(action)} ", "bold $primary" if here else "$muted", view)
            label = clickable(f"{action.label} ", "bold $foreground" if here else "$muted", view)
            parts += [
                Content.assemble(key, label).stylize("on $panel") if here else Content.assemble(key, label)
            ]
        self.put(Content("").join(parts).truncate(self.size.width or 80, ellipsis=True))


class Crumbs(Bar):
    """Where the operator is, and what part of the list is shown."""

    def draw(self, trail: Sequence[str], note: Content) -> None:
        parts: list[Content | tuple[str, str]] = [(" ", "")]
        for place, name in enumerate(trail):
            last = place == len(trail) - 1
            parts.append((name, "bold $foreground" if last else "$muted"))
            if not last:
                parts.append((" › ", "$secondary"))
        self.put(spread(Content.assemble(*parts), Content.assemble(note, " "), self.size.width))


class Banner(Bar):
    """Shown only while the server is away: since when, how old the data is, that everything stays usable."""

    def draw(self, link: Link) -> None:
        away = link.state != "live" and link.sentence != ""
        self.display = away
        if away:
            age = "" if link.age is None else f" What you see is {duration(link.age)} old."
            text = f" {link.sentence.rstrip('. ')}.{age} Trying again by itself."
            self.put(Content(text).truncate(self.size.width or 80, ellipsis=True))


class Footer(Bar):
    """The keys that work here and now, most wanted first, as many as fit."""

    def say(self, hint: str) -> None:
        self.put(Content.styled(f" {hint}", "$warning"))

    def draw(self, actions: Iterable[Action], keymap: Keymap) -> None:
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
        self.put(Content("").join(parts))


def _hint(action: Action, keymap: Keymap) -> Content:
    colour = "$warning" if action.dangerous else "$primary"
    return Content.assemble(
        clickable(keymap.shown(action), f"bold {colour}", action.id),
        clickable(f" {action.label}", "$muted", action.id),
        "  ",
    )
