"""A VM's console: byte-exact text, and a WebSocket for both directions."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import ClientWebSocketResponse, WSMsgType

from tests.server.running import ControlPlane, Node, until


async def running(plane: ControlPlane, node: Node) -> str:
    await plane.add_host(node)
    vm_id = await plane.add_vm()
    await plane.ok("POST", f"/vms/{vm_id}/start")
    return vm_id


async def read_until(socket: ClientWebSocketResponse, wanted: bytes) -> tuple[bytes, list[Any]]:
    """Read bytes and notes until some bytes came."""
    data, notes = b"", []
    async with asyncio.timeout(10):
        while wanted not in data:
            message = await socket.receive()
            assert message.type in {WSMsgType.BINARY, WSMsgType.TEXT}, message
            if message.type is WSMsgType.BINARY:
                data += message.data
            else:
                notes.append(message.json())
    return data, notes


async def test_plain_text_from_everywhere(plane: ControlPlane, node: Node) -> None:
    vm_id = await running(plane, node)
    whole = await plane.ok("GET", f"/vms/{vm_id}/console")
    assert whole.endswith("# ") or "guest vm-1 is up" in whole
    assert await plane.ok("GET", f"/vms/{vm_id}/console?from=10") == whole[10:]
    tail = await plane.ok("GET", f"/vms/{vm_id}/console?tail=2")
    assert whole.endswith(tail)
    assert 0 < len(tail) < len(whole)
    _, _, response = await plane.request("GET", f"/vms/{vm_id}/console?from=10")
    assert response.headers["X-Console-Offset"] == "10"
    assert response.content_type == "text/plain"


async def test_a_follower_sees_what_comes(plane: ControlPlane, node: Node) -> None:
    vm_id = await running(plane, node)
    async with plane.session.get(f"{plane.url}/vms/{vm_id}/console?follow=true") as response:
        seen = b""
        async with asyncio.timeout(10):
            while b"is up" not in seen:
                seen += await response.content.readany()
            await plane.ok("POST", f"/vms/{vm_id}/reboot")
            while b"Restarting system" not in seen:
                seen += await response.content.readany()


async def test_a_vm_that_never_ran_has_an_empty_console(plane: ControlPlane, node: Node) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm()
    assert await plane.ok("GET", f"/vms/{vm_id}/console") == ""


async def test_a_socket_tells_the_offset_and_takes_input(plane: ControlPlane, node: Node) -> None:
    vm_id = await running(plane, node)
    async with plane.session.ws_connect(f"{plane.url}/vms/{vm_id}/console?oldest") as socket:
        data, notes = await read_until(socket, b"is up")
        offset = next(note for note in notes if note["type"] == "offset")
        assert offset["offset"] == 0
        assert data.startswith(b"[    0.000000] Linux")
        await socket.send_json({"type": "attach"})

        async def attached() -> Any:
            message = await socket.receive(timeout=5)
            note = message.json() if message.type is WSMsgType.TEXT else {}
            return note if note.get("type") == "input" else None

        note = await until(attached)
        assert (note["attached"], note["holder"]) == (True, "local")
        await socket.send_bytes(b"uname\r")
        await read_until(socket, b"uname")
        await socket.send_str("nonsense")

        async def refused() -> Any:
            message = await socket.receive(timeout=5)
            return message.json() if message.type is WSMsgType.TEXT else None

        assert (await until(refused))["type"] == "error"


async def next_note(socket: ClientWebSocketResponse, kind: str) -> Any:
    """Read until a note of a kind comes."""
    while True:
        message = await socket.receive(timeout=5)
        assert message.type in {WSMsgType.BINARY, WSMsgType.TEXT}, message
        if message.type is WSMsgType.TEXT and (note := message.json())["type"] == kind:
            return note


async def test_a_silent_console_says_where_it_begins_and_ends_with_its_vm(
    plane: ControlPlane, node: Node
) -> None:
    await plane.add_host(node)
    vm_id = await plane.add_vm()
    async with plane.session.ws_connect(f"{plane.url}/vms/{vm_id}/console") as socket:
        assert await next_note(socket, "offset") == {"type": "offset", "offset": 0}
        await plane.ok("DELETE", f"/vms/{vm_id}")
        assert (await socket.receive(timeout=5)).type is WSMsgType.CLOSE


async def test_a_socket_that_does_not_follow_ends_with_what_is_there(plane: ControlPlane, node: Node) -> None:
    vm_id = await running(plane, node)
    url = f"{plane.url}/vms/{vm_id}/console?oldest&follow=false"
    async with plane.session.ws_connect(url) as socket:
        seen = b"".join([message.data async for message in socket if message.type is WSMsgType.BINARY])
    assert seen.decode() == await plane.ok("GET", f"/vms/{vm_id}/console")


async def test_input_is_given_back_taken_over_and_never_lost_silently(
    plane: ControlPlane, node: Node
) -> None:
    vm_id = await running(plane, node)
    away = {"type": "input", "attached": False, "holder": ""}
    async with plane.session.ws_connect(f"{plane.url}/vms/{vm_id}/console") as socket:
        await socket.send_bytes(b"nobody is attached")
        assert await next_note(socket, "input") == away
        await socket.send_json({"type": "attach"})
        assert (await next_note(socket, "input"))["attached"] is True
        await socket.send_json({"type": "detach"})
        assert await next_note(socket, "input") == away
        for nonsense in ("[]", '{"type": []}', '{"type": "detatch"}', "7", "{"):
            await socket.send_str(nonsense)
            assert (await next_note(socket, "error"))["message"].startswith("not understood")


async def test_a_console_of_nothing(plane: ControlPlane) -> None:
    missing = "00000000-0000-4000-8000-000000000000"
    assert (await plane.request("GET", f"/vms/{missing}/console"))[0] == 404
    status, _, _ = await plane.request("GET", f"/vms/{missing}/console?tail=-1")
    assert status == 422
