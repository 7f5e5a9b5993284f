"""Landlock: whether this kernel can confine a VMM, and what a confined one needs beyond its own config.

Cloud Hypervisor allows by itself the paths that its config names, as they are at `vm.create`. What is made
anew or opened again at a guest's reboot has to be listed: a refusal then would end the VM.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qarax_node.drivers.base import MachineSpec

CREATE_RULESET = 444  # the same number on every architecture
ASK_VERSION = 1
OLDEST_ABI = 3


def kernel_abi() -> int:
    """The kernel's Landlock ABI; 0 when it has none or it is turned off."""
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ASK_VERSION)))


def why_not(abi: int) -> str:
    """Empty when Cloud Hypervisor can confine itself with this ABI."""
    if abi >= OLDEST_ABI:
        return ""
    has = f"has ABI {abi}" if abi else f"offers none ({os.uname().release})"
    return (
        f"--landlock needs a kernel with Landlock ABI {OLDEST_ABI} (Linux 6.2, with landlock among its "
        f"security modules), this one {has}: start the node without --landlock"
    )


def rules(spec: MachineSpec) -> Iterator[dict[str, str]]:
    """For `landlock_rules`: the VM's directory, where sockets go and come; what taps are found by."""
    yield {"path": str(spec.directory), "access": "rw"}
    taps = [network.tap for network in spec.networks if network.interface_type == "tap"]
    if taps:
        yield {"path": "/dev/net/tun", "access": "rw"}
    for tap in filter(None, taps):
        yield {"path": f"/sys/class/net/{tap}", "access": "r"}
