"""A stand-in for cloud-hypervisor v53.0: its command line, API, files, locks and exits; a simulated guest.

Run through `tests/fakes/cloud-hypervisor`. Faults on demand are in `knobs.py`; the loop is in `server.py`,
the endpoints in `router.py`, the machine in `vm.py`. Standard library only: it starts in some 50 ms.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time

from tests.fakes.cloud_hypervisor import knobs, operations, options
from tests.fakes.cloud_hypervisor.errors import VmError, os_error
from tests.fakes.cloud_hypervisor.events import EventMonitor
from tests.fakes.cloud_hypervisor.locks import take_lock
from tests.fakes.cloud_hypervisor.log import Log
from tests.fakes.cloud_hypervisor.router import FEATURES, Router
from tests.fakes.cloud_hypervisor.server import Loop
from tests.fakes.cloud_hypervisor.vmm import Vmm

VERSION = "v53.0"


class StartError(Exception):
    """A start-up error: exit 1 with this chain on stderr."""


def main(arguments: list[str]) -> int:
    """Run until the end; the exit code."""
    os.umask(0o077)
    chosen = options.parse(arguments)
    faults = knobs.of_process()
    if chosen.help:
        print(options.USAGE)
        return 0
    if chosen.version:
        _print_version(faults, chosen.verbosity)
        return 0
    log = Log(2, chosen.verbosity)
    try:
        return _run(chosen, faults)
    except StartError as error:
        log.chain(*error.args)
        return 1


def _print_version(faults: knobs.Knobs, verbosity: int) -> None:
    print(f"cloud-hypervisor {faults.get('version', VERSION)}\nMigration Protocol Versions: 0")
    if verbosity:
        print(f"Enabled features: {FEATURES}")


def _run(chosen: options.Options, faults: knobs.Knobs) -> int:
    log = Log(_open_log(chosen), chosen.verbosity)
    if "no-kvm" in faults:
        raise StartError(
            "Failed to open hypervisor interface (is hypervisor interface available?)",
            "No such file or directory (os error 2)",
        )
    events = EventMonitor(_open_events(chosen), faults.get("lose-event"))
    events.emit("vmm", "starting")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    time.sleep(faults.seconds("start") or 0)
    vmm = Vmm(events, log, faults, no_shutdown=chosen.no_shutdown)
    listener, path = _open_socket(chosen)
    vmm.loop = Loop(listener, Router(vmm, faults.get("version", VERSION)).handle, vmm.on_event)
    if "--restore" in chosen.values:
        _restore(vmm, chosen.values["--restore"])
    code = vmm.loop.run()
    if code == 0 and path is not None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    return code


def _open_log(chosen: options.Options) -> int:
    path = chosen.values.get("--log-file")
    if path is None:
        return 2
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise StartError("Error creating log file", os_error(error)) from None


def _open_events(chosen: options.Options) -> int | None:
    value = chosen.values.get("--event-monitor")
    if value is None:
        return None
    keys = options.keys_of(value, ("path", "fd"))
    if value == "":
        raise StartError("Error parsing --event-monitor: path or fd required")
    if keys is None:
        raise StartError("Error parsing --event-monitor")
    try:
        if "fd" in keys:
            return int(keys["fd"])
        return os.open(keys["path"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except (OSError, ValueError) as error:
        cause = os_error(error) if isinstance(error, OSError) else "invalid digit found in string"
        raise StartError("Error opening event monitor", cause) from None


def _open_socket(chosen: options.Options) -> tuple[socket.socket, str | None]:
    """The listening API socket and its path; a lock beside it admits one VMM, a stale socket goes."""
    value = chosen.values.get("--api-socket")
    if value is None:
        raise StartError("this stand-in needs --api-socket")
    keys = options.keys_of(value, ("path", "fd")) or {"path": value}
    if "fd" in keys:
        try:
            return socket.socket(fileno=int(keys["fd"])), None
        except (OSError, ValueError):
            raise StartError("Error parsing --api-socket") from None
    path = keys["path"]
    listener = socket.socket(socket.AF_UNIX)
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        if not take_lock(lock, write=True):
            raise StartError(f'API socket "{path}" is already in use by another running instance')
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        listener.bind(path)
        listener.listen(128)
    except OSError as error:
        cause = os_error(error) if error.errno else "path must be shorter than SUN_LEN"
        raise StartError("Error creating VM", "Error creation API server's socket", cause) from None
    return listener, path


def _restore(vmm: Vmm, value: str) -> None:
    keys = options.keys_of(value, ("source_url", "prefault", "memory_restore_mode", "net_fds", "resume"))
    if not keys or "source_url" not in keys:
        raise StartError("Error parsing --restore")
    try:
        operations.restore(vmm, {"source_url": keys["source_url"], "resume": keys.get("resume") == "true"})
    except VmError as error:
        raise StartError("Error restoring VM", *error.chain) from None


def run() -> None:
    """Exit at once, as a process with threads that nobody waits for."""
    try:
        code = main(sys.argv[1:])
    except SystemExit as end:
        code = int(end.code or 0)
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
