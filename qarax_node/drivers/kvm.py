"""Whether KVM can run an ordinary kernel on this host."""

from __future__ import annotations

import os
import re
from pathlib import Path

KVM = "/dev/kvm"
CPU_INFO = Path("/proc/cpuinfo")


def why_no_kvm() -> str:
    """Empty when KVM is usable; a device that opens is not proof, the CPU decides."""
    try:
        os.close(os.open(KVM, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{KVM} cannot be opened ({error.strerror})"
    shown = re.search(r"\b(?:vmx|svm)\b", CPU_INFO.read_text(encoding="utf-8"))
    return "" if shown else "the CPU shows neither vmx nor svm"
