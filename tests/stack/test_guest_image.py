"""The guest image under a real QEMU: banner, shell, power button, lifetime, network, root disk."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qarax_node.drivers.qemu.clock import counter_khz
from tests.guest_image import BANNER, BUILDER, CMDLINE, GuestImage, with_cache

pytestmark = pytest.mark.qemu
SECONDS = 60.0


class Guest:
    """One guest: its serial console as a socket, its QMP as another."""

    def __init__(self, process: subprocess.Popen[bytes], directory: Path) -> None:
        self.process = process
        self.console = connect(directory / "serial")
        self.qmp = connect(directory / "qmp")
        self.seen = b""

    def wait_for(self, text: bytes) -> None:
        """Read the console until `text` has come."""
        deadline = time.monotonic() + SECONDS
        while text not in self.seen:
            self.console.settimeout(max(0.01, deadline - time.monotonic()))
            received = self.console.recv(65536)
            assert received, (
                f"the console ended before {text!r}:\n{self.seen[-2000:].decode(errors='replace')}"
            )
            self.seen += received

    def type(self, line: str) -> None:
        self.console.sendall(line.encode() + b"\n")

    def press_power_button(self) -> None:
        for command in ("qmp_capabilities", "system_powerdown"):
            self.qmp.sendall(json.dumps({"execute": command}).encode() + b"\n")

    def wait_for_end(self) -> int:
        self.console.close()
        return self.process.wait(SECONDS)


def connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            connection.connect(str(path))
        except OSError:
            assert time.monotonic() < deadline, f"nobody listens on {path}"
            time.sleep(0.02)
        else:
            return connection


@contextmanager
def booted(image: GuestImage, directory: Path, cmdline: str = "", *devices: str) -> Iterator[Guest]:
    # On a busy host a guest that has to find this out by itself hangs; the driver says it too.
    clock = f"tsc_early_khz={counter_khz()}"
    command = [
        *("qemu-system-x86_64", "-M", "microvm,acpi=on", "-accel", "tcg", "-m", "256", "-nodefaults"),
        *(
            "-no-user-config",
            "-display",
            "none",
            "-kernel",
            str(image.kernel),
            "-initrd",
            str(image.initramfs),
        ),
        *(
            "-append",
            f"{CMDLINE} quiet {clock} {cmdline}",
            "-serial",
            f"unix:{directory}/serial,server=on,wait=on",
        ),
        *("-qmp", f"unix:{directory}/qmp,server=on,wait=off", *devices),
    ]
    process = subprocess.Popen(command)
    try:
        guest = Guest(process, directory)
        with guest.console, guest.qmp:
            yield guest
    finally:
        process.kill()
        process.wait(SECONDS)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


def test_banner_shell_and_power_button(guest_image: GuestImage, directory: Path) -> None:
    with booted(guest_image, directory) as guest:
        guest.wait_for(BANNER)
        guest.wait_for(b"guest:~# ")
        guest.type("echo sum=$((40+2)); exit")
        guest.wait_for(b"sum=42")
        guest.seen = b""
        guest.wait_for(b"guest:~# ")  # the shell came back
        guest.press_power_button()
        guest.wait_for(b"the power button was pressed")
        assert guest.wait_for_end() == 0


def test_a_lifetime_powers_off_and_gives_no_shell(guest_image: GuestImage, directory: Path) -> None:
    with booted(guest_image, directory, "qarax.lifetime=1") as guest:
        guest.wait_for(b"this guest powers off in 1 s")
        assert guest.wait_for_end() == 0
        assert b"guest:~#" not in guest.seen


def test_it_goes_to_the_root_disk_and_takes_an_address(guest_image: GuestImage, directory: Path) -> None:
    disk = directory / "disk"
    shutil.copy(guest_image.root_disk, disk)
    devices = (
        *("-drive", f"id=root,file={disk},format=raw,if=none", "-device", "virtio-blk-device,drive=root"),
        *("-netdev", "hubport,id=net,hubid=0", "-device", "virtio-net-device,netdev=net"),
    )
    cmdline = "root=/dev/vda ip=192.0.2.7::192.0.2.1:255.255.255.0:named:eth0:off"
    with booted(guest_image, directory, cmdline, *devices) as guest:
        guest.wait_for(b"root /dev/")
        guest.wait_for(b"eth0 192.0.2.7/24")
        guest.wait_for(b"guest:~# ")
        guest.type("echo kept >file; sync; hostname; ip route")
        guest.wait_for(b"named")
        guest.wait_for(b"default via 192.0.2.1")
        guest.press_power_button()
        assert guest.wait_for_end() == 0
    assert b"kept\n" in disk.read_bytes()


def test_a_root_that_is_not_there_is_said_and_leaves_a_shell(
    guest_image: GuestImage, directory: Path
) -> None:
    with booted(guest_image, directory, "root=/dev/vdz") as guest:
        guest.wait_for(b"root=/dev/vdz did not appear")
        guest.wait_for(b"guest:~# ")


def test_a_second_build_takes_the_first_ones_files(guest_image: GuestImage) -> None:
    before = guest_image.kernel.stat()
    started = time.monotonic()
    subprocess.run([BUILDER, guest_image.directory], check=True, timeout=60, env=with_cache())
    assert time.monotonic() - started < 5
    assert guest_image.kernel.stat().st_ino == before.st_ino


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = subprocess.run(
        [BUILDER, tmp_path / "file" / "below"], check=False, timeout=60, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "cannot be made" in done.stderr
