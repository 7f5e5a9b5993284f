"""qarax-node as a process of its own, and what it uses."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from qarax_node import processes
from tests.ports import free_port


class NodeProcess:
    """qarax-node with one driver, killed and started again as the test likes."""

    def __init__(self, driver: str, runtime_dir: Path, cloud_hypervisor: Path) -> None:
        self.port = free_port()
        program = str(Path(sys.executable).with_name("qarax-node"))
        self._command = [program, "--port", str(self.port), "--driver", driver]
        self._command += ["--runtime-dir", str(runtime_dir)]
        self._command += ["--cloud-hypervisor-binary", str(cloud_hypervisor)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def descriptors(self) -> int:
        return self.open_files().total()

    def open_files(self) -> Counter[str]:
        """What its descriptors are, without numbers of their own."""
        found: Counter[str] = Counter()
        for descriptor in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found[re.sub(r":\[\d+\]", "", str(descriptor.readlink()))] += 1
        return found

    def resident_bytes(self) -> int:
        return processes.usage(self.pid)["resident_bytes"]

    def cpu_seconds(self) -> float:
        return processes.usage(self.pid)["cpu_milliseconds"] / 1000

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
