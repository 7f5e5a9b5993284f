"""The server's own rules, checked while the operator types.

Each check takes the text of a field and gives back what goes into the request, or raises `ValueError` with
the sentence shown beneath the field.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
_HOST_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*\Z"
)
_INTERFACE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,14}\Z")
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?B?)\Z", re.IGNORECASE)
_POWERS: Final = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_LARGEST: Final = 2**63 - 1
_MOST_CPUS: Final = 1024
_LONGEST_COMMAND_LINE: Final = 2047


def name(text: str) -> str:
    """A resource's name."""
    if not text:
        raise ValueError("A name is needed.")
    if not _NAME.match(text):
        raise ValueError("Letters, digits, . _ - and no more than 63; first a letter or digit.")
    return text


def size(text: str) -> int:
    """Bytes from `2GiB`, `512M`, `1.5g` or a bare number of bytes; K, M, G, T are powers of 1024."""
    match = _SIZE.match(text.strip())
    if match is None:
        raise ValueError("Write a size such as 512MiB or 2GiB.")
    number, unit, _ = match.groups()
    amount = float(number) * 1024 ** _POWERS[unit.upper()]
    if not 0 < amount <= _LARGEST:
        raise ValueError("The size must be more than 0 and less than 8 EiB.")
    return int(amount)


def memory(text: str) -> int:
    """A VM's memory in bytes; a bare small number is taken for a slip, not for bytes."""
    amount = size(text)
    if amount < 1024**2:
        raise ValueError("At least 1MiB; add a unit: 512MiB, 2GiB.")
    return amount


def cpus(text: str) -> int:
    """A number of vCPUs."""
    return integer(text, 1, _MOST_CPUS)


def port(text: str) -> int:
    """A TCP port."""
    return integer(text, 1, 65535)


def integer(text: str, least: int, most: int) -> int:
    """A whole number within bounds."""
    if not re.fullmatch(r"\d{1,19}", text.strip()) or not least <= int(text) <= most:
        raise ValueError(f"A whole number from {least} to {most}.")
    return int(text)


def grace(text: str) -> int | None:
    """Seconds between the power button and force; empty leaves the server's default."""
    return integer(text, 0, 3600) if text.strip() else None


def address(text: str) -> str:
    """An IP address or a host name."""
    text = text.strip()
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if re.fullmatch(r"[0-9.]+", text) or not _HOST_NAME.match(text):
            raise ValueError("An IP address or a host name.") from None
    return text


def tap(text: str) -> str | None:
    """The name of a network interface; empty leaves it to the node."""
    if text and not _INTERFACE.match(text):
        raise ValueError("1–15 letters, digits, '.', '_' or '-'.")
    return text or None


def path(text: str) -> str:
    """An absolute path."""
    if not text.startswith("/") or "\0" in text or ".." in text.split("/"):
        raise ValueError("An absolute path without '..'.")
    return text


def source(text: str) -> str:
    """Where a transfer reads from: an http(s) address or an absolute path on the pool's host."""
    text = text.strip()
    if text.startswith(("http://", "https://")):
        return text
    if not text.startswith("/"):
        raise ValueError("https://… or an absolute path on the pool's host.")
    return path(text)


def command_line(text: str) -> str | None:
    """A kernel command line; empty leaves the server's default."""
    if len(text) > _LONGEST_COMMAND_LINE or any(not " " <= character <= "~" for character in text):
        raise ValueError(f"At most {_LONGEST_COMMAND_LINE} printable ASCII characters.")
    return text or None


def optional(text: str) -> str | None:
    """Anything; empty is nothing."""
    return text.strip() or None


def required(text: str) -> str:
    """Anything but nothing."""
    if not text.strip():
        raise ValueError("This is needed.")
    return text.strip()
