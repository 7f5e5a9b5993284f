"""The stand-in's serial port: socket, ring, replay, one client, and the reset that ends its thread."""

from __future__ import annotations

import os
import socket
import stat
from typing import Any

import pytest

from tests.fakes.standin_process import BANNER, StandIn, make_kernel, read_until, until

RING = 1 << 20
LINE = 64


def create(vmm: StandIn, cmdline: str = "", **serial: Any) -> tuple[int, str]:
    body = {
        "payload": {"kernel": str(make_kernel(vmm.directory)), "cmdline": cmdline},
        "console": {"mode": "Off"},
        "serial": serial or {"mode": "Socket", "socket": "serial.sock"},
    }
    return vmm.put("vm.create", body)


def test_a_client_from_before_boot_sees_every_byte_and_can_type(vmm: StandIn) -> None:
    assert create(vmm) == (204, "")
    assert stat.S_IMODE((vmm.directory / "serial.sock").stat().st_mode) == 0o700
    with vmm.connect("serial.sock") as console:
        vmm.put("vm.boot")
        assert BANNER in read_until(console, b"~ # ")
        console.sendall(b"echo hello")
        console.sendall(b"\n")
        assert read_until(console, b"~ # ") == b"echo hello\r\nhello\r\n~ # "
        console.sendall(b"flood 3\r")
        said = read_until(console, b"~ # ")
        assert said.count(b"\r\n") == 4
        assert said.endswith(b"flood 000000002 " + b"." * 46 + b"\r\n~ # ")


def test_output_without_a_client_is_replayed_once(vmm: StandIn) -> None:
    create(vmm)
    vmm.put("vm.boot")
    with vmm.connect("serial.sock") as console:
        read_until(console, b"~ # ")
    with vmm.connect("serial.sock") as console:
        console.sendall(b"echo again\r")
        assert read_until(console, b"~ # ").startswith(b"echo again")


def test_the_ring_keeps_the_newest_mebibyte(vmm: StandIn) -> None:
    lines = 3 * RING // LINE
    create(vmm, f"standin.quiet standin.flood-hard={lines}")
    vmm.put("vm.boot")
    until(lambda: "the flood has ended" in (vmm.directory / "vmm.log").read_text(), "the end of the flood")
    with vmm.connect("serial.sock") as console:
        kept = read_until(console, b"flood %09d" % (lines - 1))
    assert kept[:LINE] != b"flood 000000000 " + b"." * 46 + b"\r\n"
    assert len(kept) <= RING


def test_a_new_client_kicks_out_the_old(vmm: StandIn) -> None:
    create(vmm)
    vmm.put("vm.boot")
    with vmm.connect("serial.sock") as first:
        read_until(first, b"~ # ")
        with vmm.connect("serial.sock") as second:
            assert first.recv(1) == b""
            second.sendall(b"uptime\r")
            read_until(second, b" s\r\n")


def test_a_client_that_closes_with_unread_data_ends_the_thread_until_reboot(vmm: StandIn) -> None:
    create(vmm)
    vmm.put("vm.boot")
    console = vmm.connect("serial.sock")
    read_until(console, b"~ # ")
    console.sendall(b"echo unread\r")
    console.recv(1, socket.MSG_PEEK)
    console.close()
    with vmm.connect("serial.sock") as served_no_more:
        served_no_more.sendall(b"echo nobody\r")
        served_no_more.settimeout(0.3)
        with pytest.raises(TimeoutError):
            served_no_more.recv(1)
        vmm.put("vm.reboot")
    with vmm.connect("serial.sock") as console:
        assert BANNER in read_until(console, b"~ # ")


def test_a_reboot_binds_the_path_anew_with_an_empty_ring(vmm: StandIn) -> None:
    create(vmm)
    vmm.put("vm.boot")
    with vmm.connect("serial.sock") as console:
        read_until(console, b"~ # ")
        console.sendall(b"reboot\r")
        read_until(console, b"Restarting system\r\n")
        assert console.recv(1) == b""
    until(lambda: "vm/rebooted" in vmm.events(), "the reboot")
    with vmm.connect("serial.sock") as console:
        assert read_until(console, b"~ # ").startswith(b"[    0.000000] Linux version")
    vmm.put("vm.shutdown")
    assert not (vmm.directory / "serial.sock").exists()


def test_a_path_in_the_way_fails_the_create(vmm: StandIn) -> None:
    (vmm.directory / "serial.sock").touch()
    status, answer = create(vmm)
    assert status == 500
    assert answer.endswith('"Error creating console device","Address already in use (os error 98)"]')


def test_a_never_booted_vm_leaves_its_socket_and_a_failed_boot_takes_it_away(vmm: StandIn) -> None:
    create(vmm)
    vmm.put("vm.delete")
    assert (vmm.directory / "serial.sock").exists()
    (vmm.directory / "serial.sock").unlink()
    create(vmm)
    vmm.put("vm.add-disk", {"path": "/nowhere", "image_type": "Raw"})
    assert vmm.put("vm.boot")[0] == 500
    assert not (vmm.directory / "serial.sock").exists()


def test_a_file_is_truncated_by_each_reboot(vmm: StandIn) -> None:
    path = vmm.directory / "serial.log"
    path.write_text("from before")
    create(vmm, mode="File", file="serial.log")
    assert path.read_bytes() == b""
    vmm.put("vm.boot")
    until(lambda: b"~ # " in path.read_bytes(), "the prompt")
    vmm.put("vm.reboot")
    until(lambda: b"~ # " in path.read_bytes(), "the prompt")
    assert path.read_bytes().count(BANNER) == 1


def test_a_pty_is_named_after_create_and_buffers(vmm: StandIn) -> None:
    create(vmm, mode="Pty")
    path = vmm.info()["config"]["serial"]["file"]
    vmm.put("vm.boot")
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)
    said = b""
    while b"~ # " not in said:
        said += os.read(descriptor, 4096)
    assert BANNER in said
    os.close(descriptor)


def test_a_polite_flood_loses_nothing(vmm: StandIn) -> None:
    lines = 100_000
    create(vmm, f"standin.quiet standin.flood={lines}")
    vmm.put("vm.boot")
    with vmm.connect("serial.sock") as console:
        said = read_until(console, b"~ # ")
    assert said[: lines * LINE] == b"".join(b"flood %09d %s\r\n" % (line, b"." * 46) for line in range(lines))
