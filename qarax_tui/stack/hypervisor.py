"""Which driver this machine can run, and why.

Cloud Hypervisor needs a `/dev/kvm` that opens and answers and a CPU that shows `vmx` or `svm`: some machines
have the device and cannot run an ordinary kernel. Where it cannot run, QEMU stands in for it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qarax_tui.stack import cloud_hypervisor, packages
from qarax_tui.stack.errors import StackError

KVM = Path("/dev/kvm")
KVM_GET_API_VERSION, KVM_API = 0xAE00, 12
QEMU, QEMU_PACKAGE = "qemu-system-x86_64", "qemu-system-x86"


@dataclass(frozen=True)
class Choice:
    """A driver, one sentence why, and what `qarax-node` is told."""

    driver: str
    reason: str
    arguments: Sequence[str]
    stand_in: bool = False


def choose(wanted: str, *, binaries: Path, install: bool, say: Callable[[str], None]) -> Choice:
    """Pick the driver for `wanted` (one of DRIVERS); `binaries` is where a download may go.

    Raises:
        StackError: the wanted driver cannot run here, or none can.
    """
    if wanted == "simulated":
        return Choice(
            "simulated", "simulated VMs, as asked for: nothing real runs", ["--driver", "simulated"]
        )
    if wanted == "qemu":
        return _qemu("QEMU, as asked for, stands in for Cloud Hypervisor", install, say)
    obstacle = why_no_kvm()
    if not obstacle:
        try:
            binary = cloud_hypervisor.find_or_download(binaries, say)
        except StackError as error:
            obstacle = str(error)
        else:
            arguments = ["--driver", "cloud_hypervisor", "--cloud-hypervisor-binary", str(binary)]
            return Choice("cloud_hypervisor", f"Cloud Hypervisor from {binary}, with KVM", arguments)
    if wanted == "cloud_hypervisor":
        raise StackError(f"Cloud Hypervisor cannot run here: {obstacle} Let qarax choose with --driver auto.")
    return _qemu(f"QEMU stands in for Cloud Hypervisor: {obstacle}", install, say)


def _qemu(reason: str, install: bool, say: Callable[[str], None]) -> Choice:
    binary = packages.ensure_program(QEMU, QEMU_PACKAGE, why="it runs the VMs here", install=install, say=say)
    arguments = ["--driver", "qemu", "--stand-in", "qemu", "--qemu-binary", binary]
    return Choice("qemu", reason, arguments, stand_in=True)


def why_no_kvm(device: Path = KVM, cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Why KVM cannot be used, as a sentence; empty when it can."""
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return f"there is no {device} on this machine."
    except OSError as error:
        return f"{device} cannot be opened ({error.strerror}); membership in the group 'kvm' allows it."
    try:
        if fcntl.ioctl(descriptor, KVM_GET_API_VERSION) != KVM_API:
            return f"{device} does not speak version {KVM_API} of the KVM interface."
    except OSError:
        return f"{device} is not KVM."
    finally:
        os.close(descriptor)
    flags = {
        flag for line in cpuinfo.read_text().splitlines() if line.startswith("flags") for flag in line.split()
    }
    if not flags & {"vmx", "svm"}:
        return f"{device} is there, but the CPU shows neither vmx nor svm."
    return ""
