"""The VMs of this machine as processes: the records that the keeper leaves in the runtime directory."""

from __future__ import annotations

import json
from pathlib import Path

from qarax_tui.stack.errors import StackError
from qarax_tui.stack.processes import ProcessRecord
from qarax_tui.stack.state import StateDirectory


def running_vms(state: StateDirectory) -> list[ProcessRecord]:
    """One record per hypervisor process that is alive; `name` is the VM's id.

    Raises:
        StackError: a record that cannot be read; a VM may be behind it.
    """
    files = sorted((state.runtime / "keeper" / "processes").glob("*.json"))
    found = [_read(file, state.runtime) for file in files]
    return [record for record in found if record and record.alive]


def _read(file: Path, runtime: Path) -> ProcessRecord | None:
    """The record is the first line; what follows is the keeper's own."""
    try:
        content = json.loads(file.read_text().partition("\n")[0])
        return ProcessRecord(
            name=file.stem,
            pid=int(content["pid"]),
            start_time=int(content["start_time"]),
            boot_id=str(content["boot_id"]),
            command=(),
            log=str(runtime / file.stem / "vmm.log"),
        )
    except FileNotFoundError:
        return None  # it ended just now
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StackError(
            f"The keeper's record {file} cannot be read ({error}). See with `ps` whether the VM {file.stem} "
            "still runs, end it, and remove that file."
        ) from error
