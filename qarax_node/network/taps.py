"""Taps: found when the spec names one, made and removed with the VM when it names none.

A tap is made persistent before the VMM starts, because one that the VMM makes loses its bridge at every guest
reboot. Names are derived from VM and interface, so a restarted node finds its own again.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import fnmatch
import hashlib
import ipaddress
import os
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from qarax_node.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

TUNSETIFF = 0x400454CA
TUNSETPERSIST = 0x400454CB
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
IFF_MULTI_QUEUE = 0x0100
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
MADE_BY_A_NODE = re.compile(r"q[xm][0-9a-f]{13}")
IFF_UP = 0x1
COMMAND_SECONDS = 5.0
QUEUES_PER_PAIR = 2


def made_name(vm_id: str, network_id: str, prefix: str = "qx") -> str:
    """The name of an interface that the node makes: 15 characters, the same for the same VM and network."""
    digest = hashlib.sha256(f"{vm_id}/{network_id}".encode()).hexdigest()
    return f"{prefix}{digest[: 15 - len(prefix)]}"


def check_name(name: str, field: str) -> str:
    """An interface name that no tool can take for an option."""
    if not NAME.fullmatch(name):
        raise NodeError(
            f"{name!r} is no interface name: 1 to 15 letters, digits, '_', '.', '-', not starting with '-'",
            code="interface_name_invalid",
            field=field,
        )
    return name


def check_allowed(name: str, patterns: Sequence[str], field: str) -> None:
    """Refuse a tap that the node made for some VM, or that the operator keeps from VMs."""
    if MADE_BY_A_NODE.fullmatch(name):
        raise NodeError(
            f"{name} is the tap of a VM on this host; leave tap out and this one gets its own",
            code="tap_not_allowed",
            field=field,
        )
    if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
        raise NodeError(
            f"the tap {name} is not for VMs: this node allows {', '.join(patterns)} (--tap-name)",
            code="tap_not_allowed",
            field=field,
        )


def exists(name: str) -> bool:
    """Whether the interface is there, in this network namespace."""
    return Path("/sys/class/net", name).exists()


def check_tap(name: str, field: str) -> None:
    """Refuse a named tap that is missing or something else."""
    check_name(name, field)
    if not exists(name):
        raise NodeError(
            f"there is no interface {name} on this host; make it first: ip tuntap add dev {name} mode tap, "
            "or leave tap out and set interface_type to tap",
            code="tap_missing",
            field=field,
        )
    if not Path("/sys/class/net", name, "tun_flags").exists():
        raise NodeError(f"{name} is an interface but no tap", code="not_a_tap", field=field)


def check_queues(name: str, num_queues: int | None, field: str) -> None:
    """Refuse a tap made for another number of queues: a hypervisor could not open it."""
    several = (num_queues or QUEUES_PER_PAIR) > QUEUES_PER_PAIR
    flags = int(Path("/sys/class/net", name, "tun_flags").read_text(encoding="ascii"), 16)
    if bool(flags & IFF_MULTI_QUEUE) == several:
        return
    has = "one pair of queues" if several else "several queues"
    made = f"ip tuntap add dev {name} mode tap{' multi_queue' if several else ''}"
    raise NodeError(
        f"the tap {name} was made for {has} and num_queues is {num_queues or QUEUES_PER_PAIR}: make it anew "
        f"({made}) or change num_queues",
        code="tap_queues_differ",
        field=field,
    )


def make_tap(name: str, *, multi_queue: bool, field: str) -> None:
    """Have a persistent tap of this name. Needs CAP_NET_ADMIN and /dev/net/tun."""
    flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (IFF_MULTI_QUEUE if multi_queue else 0)
    request = struct.pack("16sH22x", check_name(name, field).encode(), flags)
    try:
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, TUNSETIFF, request)
            fcntl.ioctl(descriptor, TUNSETPERSIST, 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno == errno.EBUSY and exists(name):
            return
        raise NodeError(
            f"the tap {name} cannot be made: {error.strerror}; the node needs CAP_NET_ADMIN and /dev/net/tun",
            code="tap_failed",
            field=field,
        ) from error


async def set_up(name: str, *, ip: str, mask: str, mtu: int | None, mac: str, field: str) -> None:
    """Give an interface its host's address, MTU and MAC, as far as given, and bring it up unless it is."""
    if mac:
        await command(field, "link", "set", "dev", name, "address", mac)
    if mtu is not None:
        await command(field, "link", "set", "dev", name, "mtu", str(mtu))
    if ip:
        await command(field, "address", "replace", str(interface(ip, mask, field)), "dev", name)
    if not _is_up(name):
        await command(field, "link", "set", "dev", name, "up")


def _is_up(name: str) -> bool:
    return bool(int(Path("/sys/class/net", name, "flags").read_text(encoding="ascii"), 16) & IFF_UP)


def interface(ip: str, mask: str, field: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    """Address and mask (as a netmask of either IP version or a prefix length) as one."""
    try:
        return ipaddress.ip_interface(f"{ip}/{_prefix_length(mask)}" if mask else ip)
    except ValueError as error:
        raise NodeError(
            f"{ip}/{mask} is no address with a mask", code="address_invalid", field=field
        ) from error


def _prefix_length(mask: str) -> str:
    """What Python takes: netmasks of IPv4 as they are, of IPv6 as the number of their ones."""
    if ":" not in mask:
        return mask
    bits = f"{int(ipaddress.IPv6Address(mask)):0128b}".rstrip("0")
    if "0" in bits:
        raise ValueError(mask)
    return str(len(bits))


async def remove(name: str) -> None:
    """Remove an interface that the node made; one that is gone already is fine."""
    if exists(name):
        await command("networks", "link", "delete", "dev", name)


async def command(field: str, *arguments: str) -> None:
    """Run `ip` with checked arguments."""
    try:
        process = await asyncio.create_subprocess_exec(
            "ip",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError:
        raise NodeError(
            "the ip command is missing on this host; install iproute2", code="ip_missing", field=field
        ) from None
    try:
        _, said = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise NodeError(
            f"ip {' '.join(arguments)} did not end in {COMMAND_SECONDS:.0f} s",
            code="ip_timeout",
            kind="unavailable",
            field=field,
        ) from None
    if process.returncode:
        reason = said.decode(errors="replace").strip()
        raise NodeError(f"ip {' '.join(arguments)}: {reason}", code="network_failed", field=field)
