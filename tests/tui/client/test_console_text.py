"""No byte a guest writes reaches a screen as anything but text, however its bytes are cut up on the way."""

from __future__ import annotations

import itertools
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qarax_tui.client.console_text import LONGEST_PIECE, clean, clean_block, count_pieces, pieces
from qarax_tui.client.ring import ConsoleRing
from qarax_tui.client.sanitise import UNSAFE


def corpus() -> list[bytes]:
    """Hostile sequences of every family."""
    finals = [bytes([code]) for code in range(0x40, 0x7F)]
    csi = [
        b"\x1b[" + body + final for body in (b"", b"2", b"?1049", b"38;2;1;2;3", b"> 1") for final in finals
    ]
    osc = [
        b"\x1b]" + number + b";" + body + end
        for number in (b"0", b"2", b"4", b"8", b"10", b"52;c", b"777", b"1337")
        for body in (b"x", b"cm0gLXJmIC8=", "ü😀".encode())
        for end in (b"\x07", b"\x1b\\", "\u009c".encode())
    ]
    strings = [
        opening + body + end
        for opening in (b"\x1bP", b"\x1b_", b"\x1b^", b"\x1bX", "\u0090".encode(), "\u009f".encode())
        for body in (b"q#0;2;0;0;0", b"Gf=24;AAAA", b'$q"p', b"\x07inside")
        for end in (b"\x1b\\", "\u009c".encode(), b"\x18")
    ]
    short = [b"\x1b" + bytes([code]) for code in range(0x20, 0x7F)]
    eight_bit = [
        "\u009b31m".encode(),
        "\u009d0;t\u009c".encode(),
        *(bytes([code]) for code in range(0x80, 0xA0)),
    ]
    overrides = [
        chr(code).encode() for code in (0x202E, 0x2066, 0x2069, 0x200F, 0x61C, 0x2028, 0xFEFF, 0xE0041)
    ]
    broken = [
        b"\x1b",
        b"\x1b[",
        b"\x1b]0;never ends",
        b"\x1b[1;2",
        b"\x1bP",
        b"\xc2",
        b"\xf0\x9f\x98",
        b"\xff",
    ]
    controls = [bytes([code]) for code in range(0x20)] + [b"\x7f"]
    return [*csi, *osc, *strings, *short, *eight_bit, *overrides, *broken, *controls]


ALONE = corpus()
CORPUS = [*ALONE, *(b"before " + sequence + b" after" for sequence in ALONE)]


def test_the_corpus_is_large() -> None:
    assert len(set(CORPUS)) >= 500


def test_every_sequence_is_harmless_and_what_follows_it_is_kept() -> None:
    for sequence in CORPUS:
        cleaned = clean_block(sequence + b"\nnext line\n")
        assert not any(UNSAFE.search(line) for line in cleaned), sequence
        assert cleaned[-1] == "next line", sequence
        "".join(cleaned).encode()


def test_whole_sequences_leave_nothing_behind() -> None:
    for sequence in (
        b"\x1b[31m",
        b"\x1b]0;title\x07",
        b"\x1bPq#0\x1b\\",
        b"\x1b(B",
        b"\x1b7",
        "\u009b1m".encode(),
    ):
        assert clean(b"a" + sequence + b"b") == "ab"


def test_cut_at_every_byte_it_is_the_same() -> None:
    for sequence in ALONE:
        data = b"one " + sequence + b" two\r\nthree\r\n"
        whole = clean_block(data)
        for cut in range(1, len(data)):
            ring = ConsoleRing()
            ring.append(data[:cut])
            partial = [line.text for line in ring.lines(ring.first, 10)]
            assert not any(UNSAFE.search(line) for line in partial)
            ring.append(data[cut:])
            assert [line.text for line in ring.lines(ring.first, 10)] == whole, (sequence, cut)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"10%\r20%\r100%", "100%"),
        (b"abcdef\rxy", "xycdef"),
        (b"abc\b\bX", "aXc"),
        (b"prompt$ lss\b \b", "prompt$ ls "),
        (b"old text\r\x1b[Knew", "new"),
        (b"a\tb", "a       b"),
        (b"a\tb\rX", "X       b"),
        (b"ab\x1b[1Dc", "ac"),
        (b"ab\x1b[3Cc", "ab   c"),
        (b"\x00\x00login:\x07", "login:"),
        (b"\xffbad", "\\xffbad"),
        (b"\x0b\x7f", "␋␡"),
        ("\u202egnp".encode(), "\ufffdgnp"),
        ("größe 😀".encode(), "größe 😀"),
        (b"\x1b]0;open for ever", ""),
        (b"line\r\r", "line"),
    ],
)
def test_as_a_log_viewer_shows_it(written: bytes, shown: str) -> None:
    assert clean(written) == shown


def test_cursor_jumps_cannot_make_a_line_huge() -> None:
    assert len(clean(b"\x1b[9999C" * 500 + b"x")) <= LONGEST_PIECE + 1


def test_a_megabyte_line_comes_in_bounded_pieces_that_lose_nothing() -> None:
    data = (b"x" * 4090 + "ü\x1b[31m€".encode()) * 250
    found = pieces(data)
    assert all(end - start <= LONGEST_PIECE for start, end in found)
    assert [start for start, _ in found[1:]] == [end for _, end in found[:-1]]
    text = "".join(clean(data[start:end]) for start, end in found)
    assert text == ("x" * 4090 + "ü€") * 250


def test_characters_that_do_not_print_are_unsafe() -> None:
    """The list in `sanitise` against the Unicode database."""
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code)) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            assert UNSAFE.search(chr(code)), hex(code)
    assert not UNSAFE.search("äöüß€日本語😀Ω ~")


@given(
    st.lists(st.one_of(st.sampled_from(CORPUS), st.binary(max_size=40), st.just(b"\n")), max_size=30),
    st.data(),
)
def test_any_mixture_cut_anywhere_is_the_same_and_safe(parts: list[bytes], data: st.DataObject) -> None:
    written = b"".join(parts)
    ring = ConsoleRing()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(written)), max_size=5)))
    for start, end in itertools.pairwise([0, *cuts, len(written)]):
        ring.append(written[start:end])
    lines = ring.lines(ring.first, 10_000)
    assert not any(UNSAFE.search(line.text) for line in lines)
    assert b"".join(ring.raw()) == written
    expected = clean_block(written)
    assert len(lines) == len(expected) == count_pieces(written)
    assert [line.text for line in lines if not line.unended] == expected[
        : len(lines) - bool(lines and lines[-1].unended)
    ]
