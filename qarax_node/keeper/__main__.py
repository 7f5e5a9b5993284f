"""`python -m qarax_node.keeper`: one per runtime directory, started before the node and never by it.

Starts hypervisor processes, learns how they ended, writes their consoles. Standard library only and small, so
that it rarely changes: the node may be killed, upgraded and restarted at any moment. Next: `server.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import gc
import os
import resource
import socket
import sys

from qarax_node.keeper.server import Keeper

LOG_CAP_BYTES = 64 << 20
SMALLEST_CAP_BYTES = 4096


def main() -> int:
    """Serve until SIGTERM; 1 with a sentence when that cannot begin."""
    parser = argparse.ArgumentParser(prog="python -m qarax_node.keeper", description=__doc__)
    parser.add_argument("--socket", required=True, help="unix socket to listen on")
    parser.add_argument("--runtime-dir", required=True, help="the node's --runtime-dir")
    parser.add_argument(
        "--log-cap-bytes",
        type=int,
        default=LOG_CAP_BYTES,
        help=f"a console log is rotated once at this size (default {LOG_CAP_BYTES})",
    )
    given = parser.parse_args()
    os.umask(0o077)
    try:
        serve(os.path.abspath(given.runtime_dir), os.path.abspath(given.socket), given.log_cap_bytes)  # noqa: PTH100  pathlib costs memory
    except BlockingIOError:
        print(f"keeper: another keeper serves {given.runtime_dir}; one per directory", file=sys.stderr)  # noqa: T201  its log
        return 1
    except OSError as error:
        print(f"keeper: {given.runtime_dir}: {error}", file=sys.stderr)  # noqa: T201  its log
        return 1
    return 0


def serve(runtime_dir: str, path: str, cap: int) -> None:
    """Take the lock, listen, run. Raises BlockingIOError when another keeper has the lock."""
    os.makedirs(f"{runtime_dir}/keeper", mode=0o700, exist_ok=True)  # noqa: PTH103  pathlib costs memory
    lock = os.open(f"{runtime_dir}/keeper.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with listen(path) as listener:
        gc.freeze()
        print(f"keeper: serving {runtime_dir}, pid {os.getpid()}", flush=True)  # noqa: T201  its log
        Keeper(runtime_dir, listener, max(cap, SMALLEST_CAP_BYTES)).run()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108  as above


def listen(path: str) -> socket.socket:
    """A listening socket at a path of any length; what an earlier keeper left there goes."""
    directory, _, name = path.rpartition("/")
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108  as above
        listener.bind(f"/proc/self/fd/{descriptor}/{name}")
        listener.listen(64)
    finally:
        os.close(descriptor)
    return listener


if __name__ == "__main__":
    sys.exit(main())
