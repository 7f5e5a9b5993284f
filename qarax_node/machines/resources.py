"""What this host has: CPUs, memory, huge pages."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from qarax_node.errors import NodeError

if TYPE_CHECKING:
    from qarax_node.drivers.base import MachineSpec

HUGEPAGES = Path("/sys/kernel/mm/hugepages")


def cpus() -> int:
    """The CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def _meminfo(name: str) -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0


def memory_bytes() -> int:
    """The host's memory."""
    return _meminfo("MemTotal")


def check_memory(spec: MachineSpec, *, starting: bool) -> None:
    """Refuse more memory than the host has, or has free when starting; huge pages are looked up by size."""
    if spec.memory_hugepages:
        _check_hugepages(spec, starting=starting)
        return
    there = _meminfo("MemAvailable") if starting else memory_bytes()
    if spec.memory_size > there:
        what = "available now" if starting else "in all"
        raise NodeError(
            f"memory_size is {_mib(spec.memory_size)} and this host has {_mib(there)} {what}; "
            "stop another VM or give this one less",
            code="memory_unavailable",
            kind="exhausted",
            field="memory_size",
        )


def _check_hugepages(spec: MachineSpec, *, starting: bool) -> None:
    size = spec.memory_hugepage_size or _meminfo("Hugepagesize")
    pool = HUGEPAGES / f"hugepages-{size // 1024}kB"
    if not pool.is_dir():
        raise NodeError(
            f"this host has no huge pages of {size} bytes; it has {_hugepage_sizes()}",
            code="hugepages_unavailable",
            field="memory_hugepage_size",
        )
    if spec.memory_size % size:
        raise NodeError(
            f"memory_size must be a multiple of the huge page size, {size} bytes",
            code="memory_size_unaligned",
            field="memory_size",
        )
    count = "free_hugepages" if starting else "nr_hugepages"
    there = int((pool / count).read_text(encoding="ascii")) * size
    if spec.memory_size > there:
        raise NodeError(
            f"memory_size is {_mib(spec.memory_size)} and this host has {_mib(there)} in "
            f"{'free ' if starting else ''}huge pages; raise {pool}/nr_hugepages",
            code="hugepages_unavailable",
            kind="exhausted",
            field="memory_hugepages",
        )


def _hugepage_sizes() -> str:
    """The sizes of this host's huge pages, in bytes."""
    kibibytes = sorted(
        int(pool.name.removeprefix("hugepages-").removesuffix("kB")) for pool in HUGEPAGES.glob("*")
    )
    return ", ".join(f"{size * 1024}" for size in kibibytes) or "none"


def _mib(size: int) -> str:
    return f"{size >> 20} MiB"
