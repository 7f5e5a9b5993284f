"""What QEMU is on this host: its binary, version and accelerator, and why it cannot be used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass

from qarax_node.drivers.kvm import KVM, why_no_kvm

ANSWER_SECONDS = 20
OLDEST = (7, 2)


@dataclass(frozen=True)
class Installation:
    """`accelerator` is `kvm` or `tcg`, `reason` why not KVM; `fault` is empty when QEMU can be used.

    `sandbox`: it was built with seccomp.
    """

    binary: str
    version: str = ""
    accelerator: str = ""
    reason: str = ""
    fault: str = ""
    sandbox: bool = True


def probe(binary: str, accelerator: str = "") -> Installation:
    """Look once, at start-up; `accelerator` overrides what this host shows."""
    kvm_fault = why_no_kvm()
    chosen = accelerator or ("tcg" if kvm_fault else "kvm")
    reason = kvm_fault if chosen == "tcg" else ""
    path = shutil.which(binary)
    if path is None:
        fault = f"{binary} is not on this host: install the package qemu-system-x86, or pass --qemu-binary"
        return Installation(binary, "", chosen, reason, fault)
    version, fault, sandbox = _version(path)
    if chosen == "kvm" and not fault and not os.access(KVM, os.R_OK | os.W_OK):
        fault = f"--accelerator kvm was asked for, but {kvm_fault}"
    return Installation(path, version, chosen, reason, fault, sandbox)


def _version(path: str) -> tuple[str, str, bool]:
    """The version, what is wrong with it, and whether it knows its sandbox."""
    try:
        asked = _ask(path, "-sandbox", "on", "--version")
        sandbox = "-sandbox support is not enabled" not in asked.stderr
        if not sandbox:
            asked = _ask(path, "--version")
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"{path} does not run: {error}", True
    found = re.search(r"version (\d+)\.(\d+)(?:\.\d+)?", asked.stdout)
    if found is None:
        return "", f"{path} --version does not name a version of QEMU", sandbox
    version = found[0].removeprefix("version ")
    if (int(found[1]), int(found[2])) < OLDEST:
        fault = f"QEMU {version} is too old: {OLDEST[0]}.{OLDEST[1]} or newer is needed"
        return version, fault, sandbox
    return version, "", sandbox


def _ask(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False)
