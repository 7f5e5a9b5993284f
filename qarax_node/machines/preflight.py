"""What must be so before a VM is created and before each start; a failure is one sentence with its fix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qarax_node.errors import NodeError
from qarax_node.machines import resources
from qarax_node.network import interfaces
from qarax_node.storage import formats, threads

if TYPE_CHECKING:
    from qarax_proto import node_pb2

    from qarax_node.drivers.base import Driver, MachineSpec
    from qarax_node.settings import Settings

FILE_SECONDS = 10.0


async def check(
    driver: Driver, wanted: node_pb2.VmSpec, spec: MachineSpec, settings: Settings, *, starting: bool
) -> None:
    """Files, interfaces, memory and what the driver says; `starting` asks for memory that is free now."""
    if not driver.facts.usable:
        raise NodeError(
            f"the driver {driver.facts.name} cannot be used here: {driver.facts.reason}",
            code="driver_unusable",
            field="driver",
        )
    if driver.facts.name != "simulated":
        await _check_files(wanted)
        interfaces.check(spec.networks, settings)
        resources.check_memory(spec, starting=starting)
    await driver.preflight(spec)


async def _check_files(wanted: node_pb2.VmSpec) -> None:
    await _check(wanted.kernel, "kernel", "boot_source_id")
    if wanted.initrd.path:
        await _check(wanted.initrd, "initrd", "boot_source_id")
    for place, disk in enumerate(wanted.disks):
        kind = "readonly_disk" if disk.readonly else "disk"
        await _check(disk.file, kind, f"disks.{place}", disk.image_type or "raw")


async def _check(file: node_pb2.FileReference, kind: str, field: str, image_type: str = "") -> None:
    await threads.run(
        file.pool_path,
        FILE_SECONDS,
        lambda: formats.check(file.pool_path, file.path, kind, field, image_type),
    )
