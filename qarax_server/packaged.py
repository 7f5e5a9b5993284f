"""Where the files are that come with the program: `sql/`, `configuration/` and `deployments/`."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def directory(name: str) -> Path:
    """Find one of them: the wheel's package data, else the clone's."""
    here = Path(__file__).resolve().parent
    packaged = here / "_data" / name
    return packaged if packaged.is_dir() else here.parent / name


def unit(name: str) -> Path:
    """A systemd unit as shipped: `qarax-keeper.service`, `qarax-node.service` or `qarax-server.service`."""
    return directory("deployments") / "systemd" / name
