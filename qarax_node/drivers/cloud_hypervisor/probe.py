"""What Cloud Hypervisor is on this host: its binary, version, and why it cannot be used.

The gate is v53.0. Older releases carry CVE-2026-45782 and CVE-2026-27211, leave stale sockets in the way and
answer differently; newer ones than were tried here are used with a warning.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass

from qarax_node.drivers.base import Capability, DriverFacts
from qarax_node.drivers.cloud_hypervisor import landlock as confinement
from qarax_node.drivers.kvm import why_no_kvm

NAME = "cloud_hypervisor"
ANSWER_SECONDS = 20
OLDEST = 53
NEWEST_TRIED = 53
WHY_NOT_OLDER = "older ones have CVE-2026-45782 and CVE-2026-27211"


@dataclass(frozen=True)
class Installation:
    """`fault`: why the binary cannot be used; `kvm_fault`: why KVM cannot; `warning`: what to know of it.

    `chosen` says that the operator named this driver: then a host whose KVM looks unusable is tried all the
    same (nested set-ups hide the CPU flags), and the reason goes on being told. `confined`: by Landlock.
    """

    binary: str
    version: str = ""
    fault: str = ""
    kvm_fault: str = ""
    warning: str = ""
    chosen: bool = False
    confined: bool = False

    def facts(self) -> DriverFacts:
        """What the driver says of itself."""
        return DriverFacts(
            name=NAME,
            version=self.version,
            accelerator="none" if self.kvm_fault else "kvm",
            usable=not self.fault and (self.chosen or not self.kvm_fault),
            reason="; ".join(filter(None, (self.fault, self.kvm_fault, self.warning))),
            capabilities=frozenset(Capability) - ({Capability.VHOST_USER} if self.confined else set()),
        )


def probe(binary: str, *, chosen: bool = False, landlock: bool = False) -> Installation:
    """Look once, at start-up; with `landlock` a kernel that cannot confine the VMM is a fault."""
    kvm_fault = why_no_kvm()
    path = shutil.which(binary)
    if path is None:
        fault = f"{binary} is not on this host: install Cloud Hypervisor v{OLDEST}.0 or newer, or pass "
        return Installation(
            binary, fault=fault + "--cloud-hypervisor-binary", kvm_fault=kvm_fault, chosen=chosen
        )
    version, fault, warning = _version(path)
    if landlock and not fault:
        fault = confinement.why_not(confinement.kernel_abi())
    return Installation(path, version, fault, kvm_fault, warning, chosen, landlock)


def _version(path: str) -> tuple[str, str, str]:
    """The version, what forbids its use, and what to know of it."""
    try:
        asked = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"{path} does not run: {error}", ""
    found = re.search(r"^cloud-hypervisor (v(\d+)\.\d+\S*)", asked.stdout)
    if found is None:
        return "", f"{path} --version does not name a version of Cloud Hypervisor", ""
    version, major = found[1], int(found[2])
    if major < OLDEST:
        return (
            version,
            f"Cloud Hypervisor {version} is too old: v{OLDEST}.0 or newer is needed ({WHY_NOT_OLDER})",
            "",
        )
    if major > NEWEST_TRIED:
        return (
            version,
            "",
            f"Cloud Hypervisor {version} is newer than v{NEWEST_TRIED}, the newest tried with qarax",
        )
    return version, "", ""
