"""The operator's own keys: `$XDG_CONFIG_HOME/qarax/keys.yaml`, lines of `action: key[,key]`.

Read once at start. What cannot be used (an unknown action, a key that Textual does not know, two actions of
one view on one key) is reported and its default stays.
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
        elif not isinstance(value, str | int) or not str(value).strip():
            problems.append(f"{path}: {name}: write a key such as `x`, `ctrl+x` or `f5`.")
        else:
            keys[action.id] = ",".join(_normal(part) for part in str(value).split(","))
    for taken in _conflicts(keys):
        loser, winner, key = taken
        keys.pop(loser.id, None)
        problems.append(
            f"{path}: {key} is already {winner.label} ({winner.id}) where {loser.id} works; {loser.id} "
            f"keeps its default key."
        )
    return Keymap(keys, tuple(problems))


def _normal(key: str) -> str:
    key = key.strip() or "space"
    prefix, plus, last = key.rpartition("+") if len(key) > 1 else ("", "", key)
    return f"{prefix}{plus}{_NAMES.get(last, last)}"


def _conflicts(keys: dict[str, str]) -> list[tuple[Action, Action, str]]:
    """(the remapped action that loses, the one that keeps the key, the key) for each clash in one view."""
    found: list[tuple[Action, Action, str]] = []
    for action_id in keys:
        mine = BY_ID[action_id]
        for other in ACTIONS:
            if (
                other.id == mine.id
                or not _meet(mine, other)
                or (mine, other) in {(w, m) for m, w, _ in found}
            ):
                continue
            shared = set(keys[mine.id].split(",")) & set(keys.get(other.id, other.key).split(","))
            if shared:
                found.append((mine, other, min(shared)))
                break
    return found


def _meet(one: Action, other: Action) -> bool:
    return bool(one.views & other.views) or "*" in one.views or "*" in other.views
