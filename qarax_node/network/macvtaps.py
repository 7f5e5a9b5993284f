"""macvtaps: made on their parent for the life of a VMM, handed over as open descriptors."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

from qarax_node.errors import NodeError
from qarax_node.network import taps


def check_parent(parent: str, field: str) -> None:
    """Refuse a parent that is not named or not there."""
    if not parent:
        raise NodeError(
            "a macvtap needs a parent interface: give networks.parent, or start the node with "
            "--macvtap-parent",
            code="macvtap_parent_missing",
            field=field,
        )
    if not taps.exists(taps.check_name(parent, field)):
        raise NodeError(
            f"there is no interface {parent} on this host to put a macvtap on",
            code="macvtap_parent_missing",
            field=field,
        )


async def make(name: str, parent: str, mac: str, mtu: int | None, field: str) -> str:
    """Have a macvtap of this name, up; returns its MAC, which the guest must use."""
    if not taps.exists(taps.check_name(name, field)):
        address = ["address", mac] if mac else []
        await taps.command(
            field, "link", "add", "link", parent, "name", name, *address, "type", "macvtap", "mode", "bridge"
        )
    await taps.set_up(name, ip="", mask="", mtu=mtu, mac=mac, field=field)
    return _fact(name, "address")


def open_queues(name: str, count: int, field: str) -> tuple[int, ...]:
    """Open the macvtap's character device once per queue pair; the caller closes the descriptors."""
    device = _device(name)
    opened: list[int] = []
    try:
        if not device.exists():
            _make_node(name, device)
        for _ in range(count):
            opened.append(os.open(device, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK))  # noqa: PERF401  closed below
    except OSError as error:
        for descriptor in opened:
            os.close(descriptor)
        raise NodeError(
            f"the macvtap's device {device} cannot be opened: {error.strerror}",
            code="macvtap_failed",
            field=field,
        ) from error
    return tuple(opened)


def _fact(name: str, fact: str) -> str:
    return Path("/sys/class/net", name, fact).read_text(encoding="ascii").strip()


def _device(name: str) -> Path:
    return Path(f"/dev/tap{_fact(name, 'ifindex')}")


def _make_node(name: str, device: Path) -> None:
    """Where no udev runs (a container), the device is there and its name is not."""
    numbers = _fact(name, f"macvtap/{device.name}/dev")
    major, minor = (int(part) for part in numbers.split(":"))
    os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(major, minor))


async def remove(name: str) -> None:
    """Remove a macvtap that the node made, and the device name it may have made for it."""
    if not taps.exists(name):
        return
    device = _device(name)
    await taps.remove(name)
    await asyncio.to_thread(device.unlink, missing_ok=True)
