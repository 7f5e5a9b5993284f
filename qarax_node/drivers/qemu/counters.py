"""What a running VM has moved: disks from QMP, taps from the kernel. What its process uses, the node adds."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qarax_node import processes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qarax_node.drivers.base import MachineSpec
    from qarax_node.processes import Process

INTERFACES = Path("/sys/class/net")
DISK_COUNTERS = {
    "read_bytes": "rd_bytes",
    "read_ops": "rd_operations",
    "write_bytes": "wr_bytes",
    "write_ops": "wr_operations",
}
# What the host's end of a tap receives is what the guest sent.
TAP_COUNTERS = {
    "rx_bytes": "tx_bytes",
    "rx_frames": "tx_packets",
    "tx_bytes": "rx_bytes",
    "tx_frames": "rx_packets",
}


def measure(
    spec: MachineSpec, process: Process, blockstats: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, int]]:
    """Counters by the ids of the spec: disks since this run began, taps since they were made."""
    found = {}
    stats = {entry["node-name"]: entry["stats"] for entry in blockstats if "node-name" in entry}
    for number, disk in enumerate(spec.disks):
        if counted := stats.get(f"disk{number}"):
            found[disk.id] = {ours: counted[theirs] for ours, theirs in DISK_COUNTERS.items()}
    taps = _taps(process.pid)
    for number, network in enumerate(spec.networks):
        statistics = INTERFACES / taps.get(f"net{number}", "-") / "statistics"
        if statistics.is_dir():
            found[network.id] = {ours: _read(statistics / theirs) for ours, theirs in TAP_COUNTERS.items()}
    return found


def _taps(pid: int) -> dict[str, str]:
    """QEMU's interfaces and their taps; its command line also knows those that the node named."""
    words = processes.command_line(pid)
    backends = [json.loads(value) for option, value in itertools.pairwise(words) if option == "-netdev"]
    return {backend["id"]: backend["ifname"] for backend in backends if "ifname" in backend}


def _read(file: Path) -> int:
    return int(file.read_text(encoding="ascii"))
