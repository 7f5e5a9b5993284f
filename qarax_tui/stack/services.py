"""The programs of the control plane: how each is started, and how one knows that it is ready.

Their command lines are in `docs/interfaces.md`. The order is postgres, keeper, server, node: each needs what
comes before it.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qarax_tui.stack import ports
from qarax_tui.stack.answering import answers_ok
from qarax_tui.stack.errors import StackError
from qarax_tui.stack.postgres import DATABASE, PORT, ROLE
from qarax_tui.stack.state import StateDirectory

KEEPER, NODE, SIMULATED, SERVER = "keeper", "node", "simulated", "server"
EXTERNAL_DATABASE = "DATABASE_HOST"


@dataclass(frozen=True)
class Service:
    """One program: `ready` is asked until it is true, for `seconds` at most."""

    name: str
    command: Sequence[str]
    ready: Callable[[], bool]
    seconds: float = 60.0
    port: int | None = None
    port_option: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


def program(name: str) -> str:
    """The console script beside this very Python, else the one on PATH."""
    beside = Path(sys.executable).parent
    found = shutil.which(name, path=os.pathsep.join((str(beside), os.environ.get("PATH", ""))))
    if found is None:
        raise StackError(f"The program {name} is not installed beside {sys.executable}: install qarax again.")
    return found


def keeper(state: StateDirectory) -> Service:
    """The process that starts the VMs' hypervisors and writes their consoles."""
    command = [sys.executable, "-m", "qarax_node.keeper", "--socket", str(state.keeper_socket)]
    return Service(
        KEEPER, [*command, "--runtime-dir", str(state.runtime)], lambda: accepts(state.keeper_socket)
    )


def node(state: StateDirectory, port: int, driver: Sequence[str], tls: Path | None = None) -> Service:
    """The agent of this machine; `driver` are its arguments from `hypervisor.py`, `tls` its certificate."""
    command = [
        *(program("qarax-node"), "--host", "127.0.0.1", "--port", str(port)),
        *("--runtime-dir", str(state.runtime), "--keeper-socket", str(state.keeper_socket)),
        *("--import-dir", str(state.images), *driver, *_tls(tls)),
    ]
    return Service(NODE, command, lambda: ports.answers(port), port=port, port_option="--node-port")


def simulated(state: StateDirectory, first_port: int, hosts: int, tls: Path | None = None) -> Service:
    """One process that is `hosts` nodes in memory, a port each, a folder below `tls` each."""
    command = [
        *(program("qarax-node"), "--host", "127.0.0.1", "--port", str(first_port)),
        *("--runtime-dir", str(state.simulated), "--keeper-socket", str(state.keeper_socket)),
        *("--driver", "simulated", "--simulated-hosts", str(hosts), *_tls(tls)),
    ]
    last = first_port + hosts - 1
    return Service(
        SIMULATED, command, lambda: ports.answers(last), port=first_port, port_option="--simulated-port"
    )


def server(state: StateDirectory, port: int, tls: Path | None = None) -> Service:
    """The REST API; `tls` is the directory of the CA, without which nodes are reached in plain text."""
    environment = {
        "VM_KERNEL": str(state.images / "vmlinux"),
        "VM_INITRAMFS": str(state.images / "initramfs.gz"),
        **database_environment(state),
    }
    if tls:
        environment["QARAX__NODE_TLS__DIRECTORY"] = str(tls)
    command = [program("qarax-server"), "--host", "127.0.0.1", "--port", str(port)]
    url = f"http://127.0.0.1:{port}/readyz"
    return Service(
        SERVER, command, lambda: answers_ok(url), port=port, port_option="--port", environment=environment
    )


def database_environment(state: StateDirectory) -> dict[str, str]:
    """Where the server finds the database of this state directory; empty when another one is configured."""
    if os.environ.get(EXTERNAL_DATABASE):
        return {}
    return {
        EXTERNAL_DATABASE: str(state.postgres),
        "DATABASE_PORT": str(PORT),
        "DATABASE_USERNAME": ROLE,
        "DATABASE_NAME": DATABASE,
    }


def _tls(directory: Path | None) -> Sequence[str]:
    return ("--tls-directory", str(directory)) if directory else ()


def accepts(path: Path) -> bool:
    """Whether somebody accepts connections on the unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0
