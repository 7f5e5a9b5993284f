"""The wire client against servers that misbehave, the event file, the words of an end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from qarax_node.drivers.base import Exit, Status, StopHow
from qarax_node.drivers.cloud_hypervisor import client, process, reasons
from qarax_node.drivers.cloud_hypervisor.events import EventFile, Watcher
from tests.fakes.standin_process import StandIn
from tests.node.keeping import until

OK = b"HTTP/1.1 200 \r\nServer: Cloud Hypervisor API\r\nConnection: keep-alive\r\n"


# -- client ----------------------------------------------------------------------------------------------

Serve = Callable[..., contextlib.AbstractAsyncContextManager[client.Client]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """A server that answers one request with these bytes; None reads until the client has gone."""

    @contextlib.asynccontextmanager
    async def one(answer: bytes | None, path: str = "") -> AsyncIterator[client.Client]:
        handled = asyncio.Event()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await (reader.read() if answer is None else reader.readuntil(b"\r\n\r\n"))
            writer.write(answer or b"")
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            handled.set()

        async with await asyncio.start_unix_server(handle, path or tmp_path / client.SOCKET):
            yield client.Client(tmp_path)
            await handled.wait()

    return one


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        OK,
        OK + b"Content-Length: 10\r\n\r\nshort",
        b"SSH-2.0-nonsense\r\n\r\n",
        b"HTTP/1.1 200 \r\n" + b"x" * (5 << 20),
    ],
    ids=["nothing", "half a head", "half a body", "another protocol", "without end"],
)
async def test_a_reply_that_is_none_leaves_the_outcome_unknown(serve: Serve, answer: bytes) -> None:
    async with serve(answer) as api:
        with pytest.raises(client.UnansweredError):
            await api.get("vmm.ping")


async def test_replies(serve: Serve) -> None:
    async with serve(OK + b'content-length: 9\r\n\r\n{"a":[1]}') as api:
        assert await api.get("vm.info") == {"a": [1]}
    async with serve(b"HTTP/1.1 204 \r\n\r\n") as api:
        assert await api.put("vm.pause") is None
    async with serve(b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n") as api:
        assert await api.put("vmm.shutdown") is None
    body = b'["Error from API","The VM could not boot","why"]'
    async with serve(b"HTTP/1.1 500 \r\nContent-Length: %d\r\n\r\n" % len(body) + body) as api:
        with pytest.raises(client.RefusedError) as refused:
            await api.put("vm.boot")
    assert (refused.value.status, refused.value.words) == (500, "The VM could not boot: why")


async def test_errors_that_are_no_json_come_as_they_are(serve: Serve) -> None:
    body = b'{ "error": "Invalid request.\nAll previous unanswered requests will be dropped." }'
    async with serve(b"HTTP/1.1 400 \r\nContent-Length: %d\r\n\r\n" % len(body) + body) as api:
        with pytest.raises(client.RefusedError, match=r"Invalid request\. All previous"):
            await api.get("vmm.ping")


async def test_who_is_turned_away_asks_again(tmp_path: Path) -> None:
    vmm = StandIn(tmp_path).ready()
    held = [vmm.connect() for _ in range(10)]
    asking = asyncio.create_task(client.Client(tmp_path).get("vmm.ping"))
    await asyncio.sleep(0.2)  # turned away a few times: nothing tells of it
    assert not asking.done()
    held.pop().close()
    assert (await asking)["build_version"] == "v53.0"
    for connection in held:
        connection.close()
    vmm.close()


async def test_nobody_there_and_nobody_who_answers(serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(client.AbsentError):
        await client.Client(tmp_path).get("vmm.ping")
    async with serve(None) as api:
        started = time.monotonic()
        with pytest.raises(client.UnansweredError, match=r"no answer to vmm\.ping within 0\.2 s"):
            await api.get("vmm.ping", 0.2)
        assert time.monotonic() - started < 1


async def test_a_socket_path_may_be_long(serve: Serve, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    descriptor = os.open(deep, os.O_PATH)
    async with serve(b"HTTP/1.1 204 \r\n\r\n", f"/proc/self/fd/{descriptor}/{client.SOCKET}"):
        assert await client.Client(deep).put("vm.pause") is None
    os.close(descriptor)


# -- events ----------------------------------------------------------------------------------------------


def event(source: str, name: str, properties: Any = None) -> str:
    stamp = {"secs": 1, "nanos": 2}
    record = {"timestamp": stamp, "source": source, "event": name, "properties": properties}
    return json.dumps(record, indent=2) + "\n\n"


def test_events_are_read_at_any_split(tmp_path: Path) -> None:
    whole = event("vm", "booting") + event("virtio-device", "activated", {"id": "d"}) + event("vm", "booted")
    for size in (1, 7, 64, 1000):
        directory = tmp_path / f"{size}"
        directory.mkdir()
        path = directory / "events"
        path.touch()
        file, names = EventFile(str(directory)), []
        for at in range(0, len(whole), size):
            with path.open("a") as growing:
                growing.write(whole[at : at + size])
            names += [one["event"] for one in file.read()]
        assert names == ["booting", "activated", "booted"]
        assert file.history.status is Status.RUNNING


def test_an_event_cut_short_loses_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text(event("vm", "booted")[:40] + "\n" + event("vm", "paused") + event("guest", "panic")[:30])
    file = EventFile(str(tmp_path))
    assert [one["event"] for one in file.read()] == ["paused"]
    assert not file.history.panicked
    with path.open("a") as growing:
        growing.write(event("guest", "panic")[30:])
    assert [one["event"] for one in file.read()] == ["panic"]
    assert (file.history.status, file.history.panicked) == (Status.PAUSED, True)


def test_a_history_adds_up(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text(event("vm", "booted") + event("guest", "panic") + event("vm", "rebooting"))
    file = EventFile(str(tmp_path))
    file.read()
    assert (file.history.panicked, file.history.rebooting) == (True, True)
    with path.open("a") as growing:
        growing.write(event("vm", "rebooted") + event("vm", "shutdown"))
    file.read()
    assert (file.history.panicked, file.history.rebooting, file.history.reboots) == (False, False, 1)
    assert (file.history.off, file.history.leaving, file.history.status) == (True, False, Status.SHUTDOWN)


async def test_a_watcher_tells_what_grew_and_what_went(tmp_path: Path) -> None:
    seen: list[str] = []
    watcher: Watcher[str] = Watcher(lambda whose, name: seen.append(f"{whose}/{name}"))
    directories = [tmp_path / "one", tmp_path / "two"]
    for directory in directories:
        directory.mkdir()
        (directory / "file").touch()
    numbers = [watcher.watch(str(directory), directory.name) for directory in directories]
    (directories[0] / "file").write_text("x")
    await until(lambda: seen == ["one/file"], what="the growth")
    (directories[1] / "file").unlink()
    await until(lambda: seen == ["one/file", "two/file"], what="the loss")
    watcher.unwatch(numbers[0])
    (directories[0] / "file").write_text("y")
    (directories[1] / "other").write_text("z")
    await until(lambda: seen[2:] == ["two/other"], what="the other's growth")
    watcher.close()
    watcher.close()


# -- reasons ---------------------------------------------------------------------------------------------


def ended(status: int | None) -> Exit:
    return Exit(1, status, 0.0)


@pytest.mark.parametrize(
    ("status", "how", "sentence"),
    [
        (
            9,
            StopHow.CRASHED,
            "the VMM was killed by SIGKILL (the kernel out of memory, or an operator; not qarax)",
        ),
        (31, StopHow.CRASHED, "the VMM was killed by SIGSYS (a system call that its seccomp filter forbids)"),
        (45, StopHow.CRASHED, "the VMM was killed by signal 45 (from outside)"),
        (1 << 8, StopHow.CRASHED, "the VMM failed with exit status 1"),
        (None, StopHow.INFERRED, "nobody saw the VMM end"),
    ],
)
def test_an_end_nobody_asked_for(tmp_path: Path, status: int | None, how: StopHow, sentence: str) -> None:
    assert reasons.exit_reason(tmp_path, ended(status)) == (how, sentence)


def test_an_end_is_explained_by_the_vmms_own_words(tmp_path: Path) -> None:
    (tmp_path / process.OUTPUT).write_text(
        "some warning\nError: Cloud Hypervisor exited with the following chain of errors:\n"
        "  0: Outer\n  1: Inner: x\n"
    )
    how, sentence = reasons.exit_reason(tmp_path, ended(1 << 8))
    assert (how, sentence) == (StopHow.CRASHED, "the VMM failed with exit status 1: Outer: Inner: x")


def test_a_poweroff_nobody_saw_is_inferred_from_its_events(tmp_path: Path) -> None:
    (tmp_path / "events").write_text(event("vm", "booted") + event("vm", "shutdown"))
    assert reasons.exit_reason(tmp_path, ended(None))[0] is StopHow.INFERRED
    assert reasons.exit_reason(tmp_path, ended(0))[0] is StopHow.INFERRED, "SIGTERM looks the same"
    assert reasons.exit_reason(tmp_path, ended(signal.SIGKILL))[0] is StopHow.GUEST_POWEROFF
    reasons.note(tmp_path, reasons.PRESSED)
    assert reasons.exit_reason(tmp_path, ended(signal.SIGKILL))[0] is StopHow.OBEYED


@pytest.mark.parametrize(
    ("why", "how"),
    [
        (reasons.ASKED, StopHow.FORCED),
        (reasons.OBEYED, StopHow.OBEYED),
        (reasons.GUEST_OFF, StopHow.GUEST_POWEROFF),
        (reasons.REBOOT_FAILED, StopHow.CRASHED),
    ],
)
def test_what_was_noted_before_asking_is_believed(tmp_path: Path, why: str, how: StopHow) -> None:
    reasons.note(tmp_path, why)
    assert reasons.noted(tmp_path) == (why, "")
    assert reasons.exit_reason(tmp_path, ended(0))[0] is how
