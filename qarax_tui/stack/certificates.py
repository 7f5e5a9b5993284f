"""Certificates of this machine's server and nodes: made and renewed by `qarax-server ca` at each start.

They are below `tls/` of the state directory. What is good for long enough is left alone by the command.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from qarax_tui.stack.errors import StackError
from qarax_tui.stack.services import program
from qarax_tui.stack.state import StateDirectory

SECONDS = 120
MOST_AT_ONCE = 500


def ensure_authority(state: StateDirectory) -> None:
    """Make the CA with the server's certificate, or renew the latter."""
    if (state.tls / "ca.pem").exists():
        _run(state, {}, "issue", "--server")
    else:
        _run(state, {}, "init")


def issue(state: StateDirectory, hosts: Sequence[str], output: Path, environment: Mapping[str, str]) -> None:
    """Make what is missing for these registered hosts: a folder each below `output`."""
    for first in range(0, len(hosts), MOST_AT_ONCE):
        _run(state, environment, "issue", *hosts[first : first + MOST_AT_ONCE], "--output", str(output))


def _run(state: StateDirectory, environment: Mapping[str, str], *arguments: str) -> None:
    command = [program("qarax-server"), "ca", *arguments, "--directory", str(state.tls)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            env={**os.environ, **environment},
        )
    except subprocess.TimeoutExpired as error:
        raise StackError(
            f"Certificates were not made within {SECONDS} s: {' '.join(command[1:4])}"
        ) from error
    if done.returncode != 0:
        raise StackError(f"Certificates could not be made: {done.stderr.strip() or done.stdout.strip()}")
