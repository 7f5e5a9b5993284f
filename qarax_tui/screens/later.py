"""Screens that are loaded when they are first opened: the first rows wait for no form and no details."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def later(path: str) -> Callable[..., Any]:
    """The function or class `module:name` of `screens`, imported when it is called."""
    module, _, name = path.partition(":")

    def call(*arguments: Any) -> Any:
        return getattr(import_module(f"qarax_tui.screens.{module}"), name)(*arguments)

    return call
