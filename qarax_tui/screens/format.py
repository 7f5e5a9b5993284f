"""How figures read: sizes, times and shares, short enough for a column."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_STEP, _TEN, _HUNDRED = 1024, 10, 100
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_BLOCKS: Final = " ▏▎▍▌▋▊▉█"
_NUMBERS: Final = re.compile(r"[0-9]+")
_SPARKS: Final = "▁▂▃▄▅▆▇█"


def size(amount: int | None) -> str:
    """`2 GiB`, `1.5 GiB`, `512 MiB`; `–` for None."""
    if amount is None:
        return "–"
    number = float(amount)
    unit = 0
    while number >= _STEP and unit < len(_UNITS) - 1:
        number /= _STEP
        unit += 1
    digits = 0 if number == int(number) or number >= _HUNDRED else 1
    return f"{number:.{digits}f} {_UNITS[unit]}"


def duration(seconds: float | None) -> str:
    """`4 s`, `3 m 20 s`, `2 h 5 m`, `9 d 3 h`; `–` for None."""
    if seconds is None:
        return "–"
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return (
            f"{whole // _MINUTE} m {whole % _MINUTE} s" if whole < 10 * _MINUTE else f"{whole // _MINUTE} m"
        )
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} m"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def took(seconds: float) -> str:
    """`0.2 s`, `4.1 s`; from ten seconds on as `duration`."""
    return f"{max(0.0, seconds):.1f} s" if seconds < _TEN else duration(seconds)


def since(moment: float | None, now: float) -> str:
    """The time from `moment` to `now`; both are Unix seconds."""
    return "–" if moment is None else duration(now - moment)


def moment(at: float | None, now: float) -> str:
    """The local time of day, with month and day in front when it is not today's."""
    if at is None:
        return "–"
    when = datetime.fromtimestamp(at).astimezone()
    today = datetime.fromtimestamp(now).astimezone()
    return when.strftime("%H:%M:%S" if when.date() == today.date() else "%m-%d %H:%M")


def bar(fraction: float, width: int) -> str:
    """A bar of `width` cells, in eighths of a cell."""
    eighths = round(max(0.0, min(1.0, fraction)) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_BLOCKS[rest] if rest else "")).ljust(width, "·")[:width]


def sparkline(values: list[float], width: int) -> str:
    """The last `width` values, scaled to their largest."""
    shown = values[-width:]
    top = max(shown, default=0.0)
    if top <= 0:
        return (_SPARKS[0] * len(shown)).ljust(width)
    return "".join(_SPARKS[min(7, int(value / top * 7.999))] for value in shown).ljust(width)


def count(number: int, one: str, many: str = "") -> str:
    """`1 VM`, `12 VMs`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def natural(name: str) -> str:
    """A sort key in which web-2 comes before web-10: each number has the count of its digits in front."""
    return _NUMBERS.sub(_with_length, name.lower())


def _with_length(number: re.Match[str]) -> str:
    digits = number[0].lstrip("0")
    return chr(len(digits)) + digits
