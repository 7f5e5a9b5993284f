"""What is typed goes to the guest, once its input is granted."""

from __future__ import annotations

from tests.tui.waiting import until
from tests.tui.widgets.console_app import shown


async def test_keys_go_to_the_guest_in_order_until_the_operator_leaves() -> None:
    async with shown() as (pilot, app, console):
        app.view.claim()
        await until(lambda: app.inputs[-1:] == [(True, "you")])
        await pilot.press(*"ls -l", "enter", "up", "ctrl+c", "escape", "tab", "backspace", "q")
        await until(lambda: bytes(console.received) == b"ls -l\r\x1b[A\x03\x1b\t\x7fq")
        await pilot.press("ctrl+right_square_bracket")
        await until(lambda: app.inputs[-1:] == [(False, "")])
        await pilot.press("z")
        assert bytes(console.received).endswith(b"q")


async def test_keys_typed_before_the_claim_is_answered_wait_for_the_answer() -> None:
    async with shown() as (pilot, app, console):
        console.answering.clear()
        app.view.claim()
        await pilot.press(*"poweroff", "enter")
        assert app.view.feed is not None
        assert app.view.feed.input.asked
        assert not console.received
        console.answering.set()
        await until(lambda: bytes(console.received) == b"poweroff\r")


async def test_keys_typed_into_a_claim_that_is_refused_go_nowhere() -> None:
    async with shown() as (pilot, app, console):
        console.answering.clear()
        console.holder = "ann"
        app.view.claim()
        await pilot.press(*"poweroff", "enter")
        console.answering.set()
        await until(lambda: app.inputs[-1:] == [(False, "ann")])
        assert app.view.input_mode
        app.view.claim(takeover=True)
        await until(lambda: app.inputs[-1:] == [(True, "you")])
        await pilot.press("x")
        await until(lambda: bytes(console.received) == b"x")
