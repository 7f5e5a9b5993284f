"""What the dashboard remembers between two starts: the theme, and that it was seen before.

`$XDG_STATE_HOME/qarax/dashboard.json`. Losing it costs nothing, so a disk that cannot be written is no error.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path

logger = logging.getLogger("qarax")


@dataclass(slots=True)
class Preferences:
    """`theme` "" is the default one."""

    theme: str = ""
    seen: bool = False


def state_folder() -> Path:
    """Where the dashboard keeps its log and what it remembers."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "qarax"


def load(path: Path) -> Preferences:
    """What was kept, or the defaults."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Preferences()
    if not isinstance(kept, dict):
        return Preferences()
    return Preferences(theme=str(kept.get("theme") or ""), seen=kept.get("seen") is True)


def save(path: Path, preferences: Preferences) -> None:
    """Keep it; a failure goes to the log."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(json.dumps(asdict(preferences)), encoding="utf-8")
    except OSError as error:
        logger.warning("The preferences were not kept: %s", error)
