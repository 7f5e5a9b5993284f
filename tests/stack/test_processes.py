"""A process is its pid, start time and boot; a stale file is never a reason to signal a stranger."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qarax_tui.stack import processes
from qarax_tui.stack.errors import StackError
from qarax_tui.stack.state import StateDirectory

SLEEPER = (sys.executable, "-c", "import time; time.sleep(60)")
STUBBORN = (
    sys.executable,
    "-c",
    "from signal import *; import time; signal(SIGTERM, SIG_IGN); print('deaf', flush=True); time.sleep(60)",
)


def start(command: tuple[str, ...], tmp_path: Path) -> processes.ProcessRecord:
    return processes.start_detached("sleeper", command, log=tmp_path / "log", cwd=tmp_path)


def test_a_started_process_is_alive_in_its_own_session_until_stopped(tmp_path: Path) -> None:
    record = start(SLEEPER, tmp_path)
    session = Path(f"/proc/{record.pid}/stat").read_text().rpartition(")")[2].split()[3]
    assert record.alive
    assert int(session) == record.pid
    assert processes.stop(record)
    assert not record.alive


def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    record = start(STUBBORN, tmp_path)
    processes.wait_until(lambda: b"deaf" in (tmp_path / "log").read_bytes(), seconds=20, record=record)
    assert processes.stop(record, signals=((signal.SIGTERM, 0.1), (signal.SIGKILL, 10.0)))
    assert not record.alive


@pytest.mark.parametrize("field", [{"start_time": 1}, {"boot_id": "another boot"}])
def test_a_reused_pid_is_not_signalled(field: dict[str, object], tmp_path: Path) -> None:
    with subprocess.Popen(SLEEPER) as stranger:
        try:
            record = processes.identified("mine", stranger.pid, log=tmp_path / "log")
            assert record is not None
            stale = dataclasses.replace(record, **field)  # type: ignore[arg-type]
            assert not stale.alive
            assert processes.stop(stale)
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_stale_and_broken_records_are_taken_away(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / "s")
    state.prepare()
    record = start(SLEEPER, tmp_path)
    state.keep(record)
    assert state.record("sleeper") == dataclasses.replace(record, command=list(record.command))
    processes.stop(record)
    assert state.record("sleeper") is None
    for content in ("", "not json", json.dumps({"pid": 1})):
        (state.path / "run" / "sleeper.json").write_text(content)
        assert state.record("sleeper") is None
        assert not (state.path / "run" / "sleeper.json").exists()


def test_one_that_dies_while_starting_shows_the_end_of_its_log(tmp_path: Path) -> None:
    record = start((sys.executable, "-c", "print('the reason')"), tmp_path)
    with pytest.raises(StackError, match=r"sleeper ended while starting(.|\n)*the reason"):
        processes.wait_until(lambda: False, seconds=20, record=record)


def test_one_that_never_gets_ready_is_given_up(tmp_path: Path) -> None:
    record = start(SLEEPER, tmp_path)
    try:
        with pytest.raises(StackError, match="not ready after 0 s"):
            processes.wait_until(lambda: False, seconds=0.1, record=record)
    finally:
        processes.stop(record)


def test_a_program_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"Could not start sleeper: .*No such file"):
        start(("/nowhere/to/be/found",), tmp_path)
