"""What is kept of a VM in its directory: spec, process, last stop. Each file is written atomically."""

from __future__ import annotations

import dataclasses
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qarax_node import files
from qarax_node.drivers.base import StopHow
from qarax_node.machines import spec as specs
from qarax_node.processes import Process

if TYPE_CHECKING:
    from pathlib import Path

    from qarax_proto import node_pb2


REASONS = {
    StopHow.OBEYED: "stopped: the guest obeyed",
    StopHow.FORCED: "ended by force",
    StopHow.GUEST_POWEROFF: "the guest powered itself off",
    StopHow.CRASHED: "the hypervisor process died",
    StopHow.HOST_REBOOT: "the host was rebooted",
    StopHow.INFERRED: "it ended while nobody watched; the cause is inferred",
}
DETAILED = (StopHow.CRASHED, StopHow.INFERRED)


@dataclass(frozen=True, slots=True)
class LastStop:
    """How the VMM ended: `seconds` from the request, `reason` as the status reason, `time` Unix seconds."""

    how: StopHow
    seconds: float
    detail: str
    reason: str
    time: float


@dataclass(frozen=True, slots=True)
class Run:
    """The VMM that was started; a pid of 0 is a simulated one."""

    process: Process
    driver: str
    started_at_ms: int


class Record:
    """The files of one VM."""

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        self.directory = directory
        self._durable = durable

    def create(self, spec: node_pb2.VmSpec) -> None:
        """Make the directory, 0700, and keep the spec. Raises OSError and then leaves nothing."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        try:
            self.keep_spec(spec)
            if self._durable:
                files.sync_directory(self.directory.parent)
        except OSError:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise

    def keep_spec(self, spec: node_pb2.VmSpec) -> None:
        files.write_json(self.directory / "spec.json", specs.to_json(spec), durable=self._durable)

    def spec(self) -> node_pb2.VmSpec | None:
        """The kept spec; None when there is none that can be read."""
        kept = files.read_json(self.directory / "spec.json")
        return specs.from_json(kept) if isinstance(kept, dict) else None

    def keep_run(self, run: Run) -> None:
        """Not synced: a crash of the host ends the process too, and the boot id tells."""
        files.write_json(self.directory / "process.json", dataclasses.asdict(run), durable=False)

    def run(self) -> Run | None:
        """The VMM that ran last and is not known to have ended."""
        kept: dict[str, Any] | None = files.read_json(self.directory / "process.json")
        if kept is None:
            return None
        try:
            return Run(Process(**kept["process"]), kept["driver"], kept["started_at_ms"])
        except (KeyError, TypeError):
            return None

    def keep_stop(self, stop: LastStop) -> None:
        """Keep how the VMM ended; from then on it is not running."""
        files.write_json(self.directory / "last_stop.json", dataclasses.asdict(stop), durable=False)
        (self.directory / "process.json").unlink(missing_ok=True)

    def last_stop(self) -> LastStop | None:
        """How the last VMM ended; None when there was none yet."""
        kept: dict[str, Any] | None = files.read_json(self.directory / "last_stop.json")
        try:
            return None if kept is None else LastStop(**{**kept, "how": StopHow(kept["how"])})
        except (KeyError, TypeError, ValueError):
            return None

    def remove(self) -> None:
        """Remove the whole directory; the spec first, so that a crash leaves a leftover and no VM."""
        (self.directory / "spec.json").unlink(missing_ok=True)
        if os.path.lexists(self.directory):
            shutil.rmtree(self.directory)
