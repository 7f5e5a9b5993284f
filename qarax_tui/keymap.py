"""The operator's own keys: `$XDG_CONFIG_HOME/qarax/keys.yaml`, lines of `action: key[,key]`.

Read once at start. What cannot be used (an unknown action, a key that Textual does not know or that moves in
lists and consoles, two actions of one view on one key) is reported and its default stays.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from qarax_tui.keys import ACTIONS, BY_ID, Action

_NAMES = {
    "?": "question_mark", "/": "slash", ":": "colon", " ": "space", "&": "ampersand", "!": "exclamation_mark",
    "*": "asterisk", "+": "plus", "-": "minus", "#": "number_sign", "<": "less_than_sign",
    ">": "greater_than_sign", ".": "full_stop", ";": "semicolon", "=": "equals_sign", "esc": "escape",
    "del": "delete", "return": "enter",
}  # fmt: skip
_MOVING = {"up", "down", "left", "right", "pageup", "pagedown", "home", "end", "j", "k", "g", "G"}
"""What tables and consoles keep for themselves, whatever view they are in."""
_WRITE = "write a key such as `x`, `ctrl+x` or `f5`."
_SHOWN = {name: character for character, name in _NAMES.items() if len(character) == 1 and character != " "}
_SHOWN |= {"enter": "⏎", "escape": "esc", "space": "space"}


@dataclass(frozen=True, slots=True)
class Keymap:
    """The keys in force, by action id, and what of the key file was refused, as sentences."""

    keys: dict[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def key(self, action: Action) -> str:
        return self.keys.get(action.id, action.key)

    def shown_id(self, action_id: str) -> str:
        return self.shown(BY_ID[action_id])

    def shown(self, action: Action) -> str:
        """The first key of the action as a person writes it: `⏎`, `?`, `ctrl+p`."""
        first = self.key(action).split(",")[0]
        return _SHOWN.get(first, first)

    def fill(self, sentence: str) -> str:
        """`{create} creates one.` with the keys in force."""
        return sentence.format_map({action.id: self.shown(action) for action in ACTIONS})


def key_file() -> Path:
    """Where the operator's keys are kept."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "qarax" / "keys.yaml"


def load(path: Path) -> Keymap:
    """Read the key file. None there: the defaults. Never raises: problems are sentences in the result."""
    if not path.exists():
        return Keymap()
    import yaml  # noqa: PLC0415 - most operators have no such file, and it takes 10 ms

    try:
        wanted = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        return Keymap(problems=(f"{path}: not read, the default keys are in force: {error}",))
    if wanted is None:
        return Keymap()
    if not isinstance(wanted, dict):
        return Keymap(problems=(f"{path}: expected lines of `action: key`; the default keys are in force.",))
    return _overlay(path, wanted)


def _overlay(path: Path, wanted: dict[object, object]) -> Keymap:
    keys: dict[str, str] = {}
    problems: list[str] = []
    for name, value in wanted.items():
        action = BY_ID.get(str(name).replace("-", "_"))
        if action is None:
            problems.append(f"{path}: there is no action {name!s:.40}; `?` lists them.")
            continue
        wished = _written(value)
        complaint = next(filter(None, map(_complaint, wished)), "" if wished else _WRITE)
        if complaint:
            problems.append(f"{path}: {name}: {complaint}")
        else:
            keys[action.id] = ",".join(wished)
    while (clash := _clash(keys)) is not None:
        loser, winner, key = clash
        del keys[loser.id]
        problems.append(
            f"{path}: {_SHOWN.get(key, key)} is already {winner.label} ({winner.id}) where {loser.id} works; "
            f"{loser.id} keeps its default key."
        )
    return Keymap(keys, tuple(problems))


def _written(value: object) -> list[str]:
    """The keys of one line. A digit is one too; `on` and `5.5` are what YAML makes of something else."""
    usable = isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip()
    return [_normal(part) for part in str(value).split(",")] if usable else []


def _complaint(key: str) -> str:
    """What is wrong with a key, as a sentence; empty when it can be pressed."""
    from textual.keys import Keys, key_to_character  # noqa: PLC0415 - as yaml, for the few with a file

    if key in _MOVING:
        return f"{key} moves in lists and consoles; choose another key."
    prefix, _, last = key.rpartition("+")
    character = len(last) == 1 or (last.islower() and key_to_character(last) is not None)
    known = key in set(Keys) or (character and prefix in {"", "ctrl", "alt"})
    return "" if known else f"{key:.20} is no key; {_WRITE}"


def _normal(key: str) -> str:
    key = key.strip() or "space"
    prefix, plus, last = key.rpartition("+") if len(key) > 1 else ("", "", key)
    last = last.lower() if prefix == "ctrl" else last
    return f"{prefix}{plus}{_NAMES.get(last, last)}"


def _clash(keys: dict[str, str]) -> tuple[Action, Action, str] | None:
    """(the remapped action that loses, the one that keeps the key, the key) where two meet in one view."""
    for action_id in keys:
        mine = BY_ID[action_id]
        for other in ACTIONS:
            shared = set(keys[mine.id].split(",")) & set(keys.get(other.id, other.key).split(","))
            if shared and other.id != mine.id and _meet(mine, other):
                return mine, other, min(shared)
    return None


def _meet(one: Action, other: Action) -> bool:
    return bool(one.views & other.views) or "*" in one.views or "*" in other.views
