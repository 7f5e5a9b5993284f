r"""What a guest wrote to its serial port, as text that is safe to print: a log viewer's idea of a terminal.

The unit is the piece: a line, or a part of a line longer than `LONGEST_PIECE` bytes. Cleaning a piece needs
nothing but its bytes, so it does not matter how the bytes were split on their way here. In a piece

- every sequence (CSI, OSC, DCS, APC, PM, SOS, ESC x; with C1 introducers too) is taken out; one that does not
  end in its line ends with it, so that a guest cannot hide its log behind an open sequence;
- carriage return, backspace and the few sequences of line editing (cursor left and right, erase to the end)
  rewrite the line as a terminal would; tabs become spaces;
- bytes that are not UTF-8 stand as `\xNN`, other controls and overrides as a visible sign.

The bytes themselves are kept in `ring`.
"""

from __future__ import annotations

import codecs
import re

from .sanitise import UNSAFE, visible

LONGEST_PIECE = 4096
LONGEST_KEPT_SEQUENCE = 64
TAB = 8

_CSI = r"(?:\x1b\[|\x9b)(?P<parameters>[\x00-\x17\x19\x1c-\x3f\x7f]*)(?P<final>[\x40-\x7e\x18\x1a])?"
_OSC = r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c\x18\x1a]*(?:\x07|\x1b\\|[\x9c\x18\x1a])?"
_STRING = r"(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c\x18\x1a]*(?:\x1b\\|[\x9c\x18\x1a])?"
_ESCAPE = r"\x1b[\x20-\x2f]*[\x30-\x7e]?"
_SEQUENCE = re.compile(f"{_CSI}|{_OSC}|{_STRING}|{_ESCAPE}")
_SEQUENCE_BYTES = re.compile(
    rb"\x1b(?:\[[\x20-\x3f]*[\x40-\x7e]?|\][^\n\x07\x1b\x18\x1a]*(?:\x07|\x1b\\)?"
    rb"|[PX^_][^\n\x1b\x18\x1a]*(?:\x1b\\)?|[\x20-\x2f]*[\x30-\x7e]?)"
)
_INTRODUCER = re.compile("[\x1b\x90\x98\x9b\x9d-\x9f]")
_TOKEN = re.compile(
    f"{_CSI}|{_OSC}|{_STRING}|{_ESCAPE}|(?P<control>[\r\b\t])|(?P<run>[^\x1b\x90\x98\x9b\x9d-\x9f\r\b\t]+)"
)
_EDITING = re.compile(r"[\r\b]|(?:\x1b\[|\x9b)\d*[CDJK]")
_SILENT = dict.fromkeys(map(ord, "\x00\x07\x0e\x0f\x11\x13"))
"""NUL, BEL, shifts and flow control: a terminal prints nothing for them, and logs are full of NULs."""
_PLAIN = bytes(range(0x20, 0x7F)) + b"\n"

_UNFINISHED = re.compile(
    rb"\x1b(?:\[[\x20-\x3f]*|[\]PX^_][^\x07\x1b]*|[\x20-\x2f]*)?\Z"
    rb"|(?:[\xc2-\xf4]|[\xe0-\xf4][\x80-\xbf]|[\xf0-\xf4][\x80-\xbf]{2})\Z"
)
"""At the end of a cut: a sequence or a UTF-8 character that goes on."""


def pieces(data: bytes) -> list[tuple[int, int]]:
    """Start and end of each piece, newlines left out. The last one is unfinished unless data ends a line."""
    found = []
    start = 0
    while True:
        newline = data.find(b"\n", start)
        end = len(data) if newline < 0 else newline
        while end - start > LONGEST_PIECE:
            cut = _cut(data, start)
            found.append((start, cut))
            start = cut
        found.append((start, end))
        if newline < 0:
            return found
        start = newline + 1


def _cut(data: bytes, start: int) -> int:
    """Where to cut a long line: not inside a character and not inside a short sequence."""
    end = start + LONGEST_PIECE
    tail = data[end - LONGEST_KEPT_SEQUENCE : end]
    unfinished = _UNFINISHED.search(tail)
    return end - (len(tail) - unfinished.start()) if unfinished else end


def count_pieces(data: bytes) -> int:
    """How many pieces `clean_block` gives."""
    lines = data.split(b"\n")
    if max(map(len, lines)) <= LONGEST_PIECE:
        return len(lines) - (not lines[-1])
    found = pieces(data)
    return len(found) - (found[-1][0] == found[-1][1])


def clean_block(data: bytes) -> list[str]:
    """Every piece of whole lines as safe text. An empty last piece (data ends a line) is left out."""
    unix = data.replace(b"\r\n", b"\n")
    if not unix.translate(None, _PLAIN):
        lines = unix.decode("ascii").split("\n")
        if max(map(len, lines)) < LONGEST_PIECE:
            return lines if lines[-1] else lines[:-1]
    found = pieces(data)
    if found[-1][0] == found[-1][1]:
        found.pop()
    return [clean(data[start:end]) for start, end in found]


def searchable(data: bytes, count: int) -> str | None:
    """The block's `count` lines as text to search in, several times faster than cleaning it.

    None when lines are rewritten (carriage return, backspace), cut, or might hold C1 controls; then only
    `clean_block` tells what is shown.
    """
    plain = without_sequences(data)
    if plain is None:
        return None
    unix = plain.translate(None, b"\r").removesuffix(b"\n")
    return unix.decode("utf-8", "backslashreplace") if unix.count(b"\n") + 1 == count else None


def without_sequences(data: bytes) -> bytes | None:
    """The block without its sequences; None when its lines are rewritten or might hold C1 controls."""
    plain = _SEQUENCE_BYTES.sub(b"", data) if b"\x1b" in data else data
    returns = plain.count(b"\r")
    rewritten = b"\b" in plain or (returns and returns != plain.count(b"\r\n"))
    return None if rewritten or b"\xc2" in plain else plain


def clean(piece: bytes, *, unfinished: bool = False) -> str:
    """One piece as safe text; of an unfinished one the last character may still be incomplete."""
    if unfinished:
        text = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode(piece)
    else:
        text = piece.decode("utf-8", "backslashreplace")
    text = text.rstrip("\r")
    if UNSAFE.search(text) is None:
        return text
    if _EDITING.search(text):
        text = _edited(text)
    elif _INTRODUCER.search(text):
        text = _SEQUENCE.sub("", text)
    return UNSAFE.sub(visible, text.translate(_SILENT).expandtabs(TAB))


def _edited(text: str) -> str:
    """The line after its carriage returns, backspaces, cursor moves and erasures."""
    cells: list[str] = []
    at = 0
    for found in _TOKEN.finditer(text):
        control, final = found["control"], found["final"]
        run = " " * (TAB - at % TAB) if control == "\t" else found["run"]
        if run is not None:
            printed = run.translate(_SILENT)
            cells[at : at + len(printed)] = printed
            at += len(printed)
        elif control is not None:
            at = 0 if control == "\r" else max(0, at - 1)
        elif final in ("J", "K") and found["parameters"] in ("", "0"):
            del cells[at:]
        elif final in ("C", "D"):
            by = _amount(found["parameters"])
            at = max(0, at - by) if final == "D" else min(LONGEST_PIECE, at + by)
            cells.extend(" " * (at - len(cells)))
    return "".join(cells)


def _amount(parameters: str) -> int:
    return int(parameters[:4]) if parameters.isdecimal() else 1
