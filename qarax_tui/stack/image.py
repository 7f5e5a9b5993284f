"""The guest image of this state directory: made by `hack/guest-image`, which travels in the wheel."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from qarax_tui.stack import packages
from qarax_tui.stack.errors import StackError
from qarax_tui.stack.processes import FOR_EVERYBODY

FILES = ("vmlinux", "initramfs.gz", "root.ext4")
BUILD_SECONDS = 900
PLACEHOLDER = b"A placeholder: simulated VMs boot nothing.\n"


def builder() -> Path:
    """`build.sh`: the wheel's, else the clone's."""
    here = Path(__file__).resolve().parent.parent
    packaged = here / "_data" / "guest-image" / "build.sh"
    return packaged if packaged.exists() else here.parent / "hack" / "guest-image" / "build.sh"


def ensure_image(images: Path, *, install: bool, say: Callable[[str], None]) -> None:
    """Put vmlinux, initramfs.gz and root.ext4 into `images`; quick when they are there.

    Raises:
        StackError: with the builder's own last sentence.
    """
    packages.ensure_program("mke2fs", "e2fsprogs", why="it makes the guest's disk", install=install, say=say)
    # bash by name: a wheel does not keep the executable bit
    command = ["bash", str(builder()), str(images)]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        umask=FOR_EVERYBODY,
    ) as process:
        lines = []
        for line in process.stderr or ():
            lines.append(line.strip())
            say(line.strip())
        status = process.wait(BUILD_SECONDS)
    if status != 0:
        last = lines[-1].removeprefix("guest image: ") if lines else f"{command[1]} ended with {status}"
        raise StackError(f"The guest image could not be built: {last}")


def ensure_placeholders(images: Path) -> None:
    """Files for simulated VMs, which need names and no content; a real image is left alone."""
    for name in FILES:
        file = images / name
        if not file.exists():
            file.write_bytes(PLACEHOLDER)
            os.utime(file, (0, 0))
