"""What a VM holds of its host while it runs: disk images with their locks, taps, vsock sockets."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
from typing import Any

from tests.fakes.cloud_hypervisor.errors import VmError, os_error
from tests.fakes.cloud_hypervisor.locks import take_lock

MANAGER = "Error from device manager"
SECTOR = 512
SIGNATURES = (
    (0, b"QFI\xfb", "qcow2"),
    (0, b"vhdxfile", "vhdx"),
)
CLI_NAMES = {"FixedVhd": "vhd", "Qcow2": "qcow2", "Raw": "raw", "Vhdx": "vhdx"}
JSON_NAMES = {name: variant for variant, name in CLI_NAMES.items()}
TUNSETIFF = 0x400454CA
TUNGETIFF = 0x800454D2
TUNSETVNETHDRSZ = 0x400454D8
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFMTU, SIOCSIFHWADDR, SIOCGIFHWADDR = 0x8913, 0x8914, 0x8922, 0x8924, 0x8927
IFF_UP = 0x1
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE = 0x2, 0x1000, 0x4000, 0x100


class Disk:
    """An opened image; the lock is taken later, and both go with `close`."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.path = config["path"]
        if self.path is None:
            raise VmError(MANAGER, "No disk path was specified when one was expected")
        flags = os.O_RDONLY if config["readonly"] else os.O_RDWR
        try:
            self.descriptor = os.open(self.path, flags | os.O_CLOEXEC)
        except OSError as error:
            where = f"I/O error (path={self.path} op=open)"
            raise VmError(MANAGER, "Cannot open disk path", where, os_error(error)) from None
        try:
            self._check_type()
        except VmError:
            self.close()
            raise

    def _check_type(self) -> None:
        head = os.pread(self.descriptor, SECTOR, 0)
        if len(head) < SECTOR:
            raise VmError(MANAGER, "I/O error (op=detect_image_type)", "failed to fill whole buffer")
        detected = next(
            (name for at, magic, name in SIGNATURES if head[at : at + len(magic)] == magic), None
        ) or ("vhd" if self._has_vhd_footer() else "raw")
        wanted = self.config["image_type"]
        if wanted == "Unknown":
            self.config["image_type"] = JSON_NAMES[detected]
        elif CLI_NAMES[wanted] != detected:
            raise VmError(
                MANAGER,
                "Disk image type does not match expected type: "
                f"specified = {CLI_NAMES[wanted]}, detected = {detected}",
            )

    def _has_vhd_footer(self) -> bool:
        size = os.fstat(self.descriptor).st_size
        return os.pread(self.descriptor, 8, max(0, size - SECTOR)) == b"conectix"

    def lock(self) -> None:
        """Raises VmError in the words of a late boot failure."""
        write = not self.config["readonly"]
        status = os.fstat(self.descriptor)
        whole = self.config["lock_granularity"] == "Full"
        length = 0 if whole else max(status.st_size, status.st_blocks * SECTOR, 1)
        if not take_lock(self.descriptor, write=write, length=length):
            kind = "Write" if write else "Read"
            raise VmError(
                "Cannot lock images of all block devices",
                f"Failed to get {kind} lock for disk image: {self.path}",
                "The file is already locked",
            )

    def close(self) -> None:
        os.close(self.descriptor)


class Tap:
    """A tap opened by name (made when missing), or the descriptors that came for it."""

    def __init__(self, config: dict[str, Any], *, assume: bool) -> None:
        self.descriptors: list[int] = []
        pairs = config["num_queues"] // 2
        if config["fds"]:
            self.descriptors = [os.dup(fd) for fd in config["fds"]]
            return
        if assume:
            config["host_mac"] = config["host_mac"] or "9a:00:00:00:00:01"
            return
        try:
            for _ in range(pairs):
                self.descriptors.append(_open_tap(config["tap"] or "vmtap%d", multi_queue=pairs > 1))
            name = _set_up(self.descriptors[0], config)
            config["host_mac"] = config["host_mac"] or _hardware_address(name)
        except VmError:
            self.close()
            raise

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()


def _tap_error(*cause: str) -> VmError:
    return VmError(MANAGER, "Cannot create virtio-net device", "Failed to open taps", *cause)


def _open_tap(name: str, *, multi_queue: bool) -> int:
    try:
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _tap_error("Open tap device failed", "Couldn't open /dev/net/tun", os_error(error)) from None
    flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (IFF_MULTI_QUEUE if multi_queue else 0)
    try:
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode()[:15], flags))
    except OSError as error:
        os.close(descriptor)
        if error.errno == 22:
            side = "device" if multi_queue else "TAP"
            raise _tap_error(
                f"Error related to the multiqueue support (no support {'TAP' if multi_queue else side} side)"
            ) from None
        raise _tap_error(
            "Open tap device failed", "Unable to configure tap interface", os_error(error)
        ) from None
    return descriptor


def _set_up(descriptor: int, config: dict[str, Any]) -> str:
    """Give the interface what the config says of it, and bring it up unless it is; returns its name."""
    fcntl.ioctl(descriptor, TUNSETVNETHDRSZ, struct.pack("i", 12))
    name = fcntl.ioctl(descriptor, TUNGETIFF, bytes(40))[:16].rstrip(b"\0").decode()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            if config["host_mac"] is not None:
                family = struct.pack("H", 1) + bytes.fromhex(config["host_mac"].replace(":", ""))
                fcntl.ioctl(control, SIOCSIFHWADDR, struct.pack("16s24s", name.encode(), family))
            if config["mtu"] is not None:
                fcntl.ioctl(control, SIOCSIFMTU, struct.pack("16si20x", name.encode(), config["mtu"]))
            (flags,) = struct.unpack_from(
                "H", fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16s24x", name.encode())), 16
            )
            if not flags & IFF_UP:
                fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH22x", name.encode(), flags | IFF_UP))
    except OSError as error:
        raise _tap_error("Open tap device failed", "Ioctl failed", os_error(error)) from None
    return name


def _hardware_address(name: str) -> str | None:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        answer = fcntl.ioctl(control, SIOCGIFHWADDR, struct.pack("16s24x", name.encode()))
        return ":".join(f"{byte:02x}" for byte in answer[18:24])
    return None


class Vsock:
    """The host-side socket of virtio-vsock, bound at boot."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.path = config["socket"]
        self.listener = socket.socket(socket.AF_UNIX)
        try:
            self.listener.bind(self.path)
            self.listener.listen()
        except OSError as error:
            self.listener.close()
            where = "Error binding to the host-side Unix socket"
            raise VmError(MANAGER, "Cannot create virtio-vsock backend", where, os_error(error)) from None

    def close(self) -> None:
        self.listener.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
