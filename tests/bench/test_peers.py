"""P14's peers: Cloud Hypervisor by hand as far as the stand-in goes, libvirt where it cannot be measured."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import guests, libvirt
from tests.bench.rows import Bench
from tests.fakes.standin_process import BINARY
from tests.faults.world import BZIMAGE
from tests.guest_image import GuestImage
from tests.postgres import TestServer


async def test_cloud_hypervisor_is_measured_against_itself_by_hand(
    postgres: TestServer, tmp_path: Path
) -> None:
    image = GuestImage(tmp_path)
    image.kernel.write_bytes(BZIMAGE)
    image.initramfs.write_bytes(b"070701")
    bench = Bench(postgres, tmp_path, quick=True, say=lambda _: None, rounds=1)
    line = await guests.cloud_hypervisor(bench, image, str(BINARY))
    assert (line.number, len(line.samples["server_seconds"])) == ("P14", 1)
    assert line.ratio is not None
    assert line.ratio > 0


@pytest.fixture
def guest(tmp_path: Path) -> libvirt.Guest:
    for name in ("kernel", "initramfs"):
        (tmp_path / name).write_bytes(b"")
    words = ["-kernel", str(tmp_path / "kernel"), "-initrd", str(tmp_path / "initramfs")]
    return libvirt.Guest.of(["/bin/true", "-m", "128", *words, "-append", "a <b> & c"], 128 << 20)


def test_the_guest_is_that_of_the_command_line(guest: libvirt.Guest, tmp_path: Path) -> None:
    assert guest == libvirt.Guest(
        "/bin/true", tmp_path / "kernel", tmp_path / "initramfs", "a <b> & c", 128 << 20
    )


def test_without_libvirt_it_says_so(
    guest: libvirt.Guest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(libvirt.NotRunError, match="libvirt is not installed"),
        libvirt.session(guest),
    ):
        pytest.fail("there is none")


@pytest.fixture
def anyones() -> Iterator[Path]:
    """A directory that the session's user reaches: another one, where we are root."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_daemon_that_ends_is_quoted(
    guest: libvirt.Guest, monkeypatch: pytest.MonkeyPatch, anyones: Path
) -> None:
    for name in ("virsh", "virtqemud"):
        (anyones / name).write_text("#!/bin/sh\necho no such thing >&2\nexit 3\n")
        (anyones / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{anyones}{os.pathsep}/bin")
    monkeypatch.setattr(libvirt, "PROGRAMS", str(anyones))
    with (
        pytest.raises(libvirt.NotRunError, match="virtqemud ended: no such thing"),
        libvirt.session(guest),
    ):
        pytest.fail("it ended")
