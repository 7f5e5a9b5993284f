"""`qarax up` on a bad day: one sentence that says what to do, exit code 1, nothing left running."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from qarax_tui.client.errors import ServerAway
from qarax_tui.stack import processes
from qarax_tui.stack.accounts import database_account
from qarax_tui.stack.errors import StackError
from qarax_tui.stack.postgres import Postgres
from qarax_tui.stack.state import StateDirectory
from qarax_tui.stack.up import Options, up
from tests.stack.conftest import Qarax


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The sentence of a refusal."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_the_usual_place_made_for_something_else_lets_the_database_pass(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, chosen = place / "usual", place / "chosen"
    monkeypatch.setattr("qarax_tui.stack.state.default_path", lambda: usual)
    for folder in (usual, chosen):
        folder.mkdir(mode=0o700)
        StateDirectory(folder).prepare()
    passes = 0o711 if os.geteuid() == 0 else 0o700
    assert [folder.stat().st_mode & 0o777 for folder in (usual, chosen)] == [passes, 0o700]


def test_a_taken_port_names_its_holder_and_the_option(qarax: Qarax, place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        sentence = refused(
            qarax("up", "--state-dir", str(place / "s"), "--port", port, "--driver", "simulated")
        )
    assert f"Port {port}" in sentence
    assert f"(pid {os.getpid()})" in sentence
    assert "--port" in sentence
    assert list((place / "s" / "run").iterdir()) == []


def test_a_state_directory_that_cannot_be_made(qarax: Qarax, place: Path) -> None:
    (place / "file").touch()
    sentence = refused(qarax("up", "--state-dir", str(place / "file" / "s")))
    assert "cannot be used" in sentence
    assert "--state-dir" in sentence


def test_a_state_directory_too_deep_for_sockets(qarax: Qarax, place: Path) -> None:
    sentence = refused(qarax("up", "--state-dir", str(place / ("d" * 90))))
    assert "too deep" in sentence
    assert not (place / ("d" * 90)).exists()


def test_a_full_disk(qarax: Qarax, place: Path) -> None:
    small = place / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m,mode=711", "tmpfs", small], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        sentence = refused(qarax("up", "--state-dir", str(small / "s"), "--driver", "simulated"))
    finally:
        subprocess.run(["umount", small], check=True)
    assert "MiB are free" in sentence


def test_no_qemu_and_no_apt(qarax: Qarax, place: Path, ports: tuple[str, ...]) -> None:
    bare = {"PATH": str(place)}
    sentence = refused(qarax("up", "--state-dir", str(place / "s"), *ports, "--driver", "qemu", env=bare))
    assert "qemu-system-x86" in sentence
    assert list((place / "s" / "run").iterdir()) == []


def test_vms_without_hosts_are_refused(qarax: Qarax) -> None:
    assert "--simulated-hosts" in refused(qarax("up", "--simulated-vms", "3"))


def test_without_a_terminal_the_dashboard_starts_nothing(qarax: Qarax, place: Path) -> None:
    assert "qarax up" in refused(qarax("--state-dir", str(place / "s")))
    assert not (place / "s").exists()


def test_down_and_status_where_nothing_ever_was(qarax: Qarax, place: Path) -> None:
    assert qarax("down", "--state-dir", str(place / "s")).stdout == "nothing was running\n"
    assert qarax("status", "--state-dir", str(place / "s")).returncode == 3
    assert not (place / "s").exists()


def test_a_database_starts_over_what_a_crash_left(place: Path) -> None:
    directory = place / "pg"
    server = Postgres(directory, place / "log", database_account(directory / "data"))
    server.prepare()
    record = server.start()
    server.ensure_database()
    processes.stop(record, signals=((signal.SIGKILL, 10.0),))
    # The dead server's pid file names somebody who lives, and its socket is still there.
    leftover = directory / "data" / "postmaster.pid"
    lines = leftover.read_text().splitlines()
    leftover.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert server.running_pid() is None
    again = server.start()
    try:
        server.ensure_database()
        assert server.running_pid() == again.pid
    finally:
        server.stop(again)


def test_a_half_made_database_is_made_again(place: Path) -> None:
    directory = place / "pg"
    (directory / "data").mkdir(parents=True)
    (directory / "data" / "PG_VERSION").write_text("18\n")
    server = Postgres(directory, place / "log", database_account(directory / "data"))
    server.prepare()
    record = server.start()
    assert server.stop(record)


def test_a_server_that_goes_while_it_is_set_up_is_not_said_to_have_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def goes(_: object) -> None:
        raise ServerAway("Nothing answers.", "Start it with `qarax up`.")

    monkeypatch.setattr("qarax_tui.stack.up._Attempt.run", goes)
    with pytest.raises(StackError, match=r"^The server went away meanwhile: Nothing answers\. Start it"):
        up(Options(state_dir=place / "s"), print)
