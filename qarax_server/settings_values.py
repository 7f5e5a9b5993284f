"""From what a file or the environment says to a checked value of a setting; `where` names both in errors."""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import Any, get_args

from qarax_server.errors import SettingsError


def checked(value: Any, known: dataclasses.Field[Any], where: str) -> Any:
    """Return a value that keeps to its field's range, words or kind; else raise SettingsError."""
    if bounds := known.metadata.get("range"):
        smallest, largest = bounds
        if not smallest <= value <= largest:
            raise SettingsError(f"{where} must be from {smallest:g} to {largest:g}, it is {value:g}")
    if known.metadata.get("networks"):
        _check_networks(value, where)
    if (words := known.metadata.get("words")) and value not in words:
        raise SettingsError(f"{where} must be one of {', '.join(words)}, it is {value!r}")
    return value


def _check_networks(networks: tuple[str, ...], where: str) -> None:
    for text in networks:
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            raise SettingsError(
                f"{where}: {text!r} is no network such as 10.0.0.0/8; commas separate several"
            ) from error


def convert(value: Any, wanted: Any, where: str) -> Any:
    """Turn YAML's or the environment's value into the wanted type; else raise SettingsError."""
    if get_args(wanted):
        items = (
            [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        )
        if not isinstance(items, list):
            raise SettingsError(f"{where} must be a list, it is {value!r}")
        return tuple(str(item) for item in items)
    if wanted is bool:
        return _convert_bool(value, where)
    if value is None or isinstance(value, bool | list | dict) or (wanted is int and isinstance(value, float)):
        raise SettingsError(f"{where} must be {_NOUNS[wanted]}, it is {value!r}")
    try:
        return wanted(value)
    except ValueError as error:
        raise SettingsError(f"{where} must be {_NOUNS[wanted]}, it is {value!r}") from error


_NOUNS = {str: "text", int: "a whole number", float: "a number"}
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _convert_bool(value: Any, where: str) -> bool:
    word = str(value).strip().lower()
    if word not in _WORDS:
        raise SettingsError(f"{where} must be true or false, it is {value!r}")
    return _WORDS[word]
