"""The guest image for tests that boot a real one: built once per machine, then taken from a cache."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

BUILDER = Path(__file__).resolve().parent.parent / "hack" / "guest-image" / "build.sh"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qarax" / "guest-image"
CMDLINE = "console=ttyS0 reboot=k panic=1"
BANNER = b"=== qarax guest is up: Linux"


@dataclass(frozen=True)
class GuestImage:
    """Where its files are; copy `root_disk` before a guest writes to it."""

    directory: Path

    @property
    def kernel(self) -> Path:
        return self.directory / "vmlinux"

    @property
    def initramfs(self) -> Path:
        return self.directory / "initramfs.gz"

    @property
    def root_disk(self) -> Path:
        return self.directory / "root.ext4"


def build_guest_image(directory: Path) -> GuestImage:
    """Put the image into `directory`, from the cache when it is there."""
    subprocess.run([BUILDER, directory], check=True, env=with_cache(), timeout=300, stderr=subprocess.PIPE)
    return GuestImage(directory)


def with_cache() -> dict[str, str]:
    """The environment in which the builder shares this machine's cache."""
    return {**os.environ, "QARAX_IMAGE_CACHE": str(CACHE)}
