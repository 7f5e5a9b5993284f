"""VMs that a node has and nobody here knows: an operator adopts, deletes or ignores them; nothing else does.

An orphan becomes a VM again from the spec that its node keeps, when everything that spec names is here: the
boot source, the disks' objects, room on the host, and the name.
"""

from __future__ import annotations

import re
from dataclasses import replace

from qarax_server.control import claiming, files, history
from qarax_server.control.core import Core
from qarax_server.database import Connection, Event, Transaction
from qarax_server.errors import Conflict, Invalid, NodeUnavailable
from qarax_server.models import NAME_PATTERN, Boot, DiskFile, Host, KeptSpec, NewVm, VmDisk
from qarax_server.nodes.kept_spec import get_spec
from qarax_server.observed import Observation
from qarax_server.store import hosts, orphans, vms
from qarax_server.store.hosts import Share
from qarax_server.store.vms import Placed


async def ignore(core: Core, host_id: str, vm_id: str) -> str:
    """Leave an orphan as it is for good, and return its JSON text."""
    async with core.database.transaction() as tx:
        before = await tx.snapshot("orphan", vm_id)
        orphan = await orphans.ignore_orphan(tx, host_id, vm_id)
        message = f"orphan {orphan.name} is left as it is"
        tx.record(Event("ignore", "orphan", vm_id, orphan.name, message, before=before))
        return await orphans.get_orphan_document(tx, host_id, vm_id)


async def delete(core: Core, host_id: str, vm_id: str) -> None:
    """End an orphan's VMM and remove everything of it.

    From the commit on it is a deletion that the node is to be told of, so a crash or an absent node only
    delays it.

    Raises:
        NotFound: the host has no such orphan.
        NodeUnavailable, NodeTimeout: its node is told when it answers again.
    """
    await core.tasks.finish(_delete(core, host_id, vm_id))


async def adopt(core: Core, host_id: str, vm_id: str, *, name: str | None = None) -> str:
    """Make an orphan a VM of this control plane, perhaps by another name, and return that VM's JSON text.

    Raises:
        NotFound: the host has no such orphan.
        Conflict: a VM with its id or name is known already.
        Invalid: something that its spec names is not here, and the message says what to make first; or its
            spec breaks a rule.
        NodeUnavailable: its host does not answer.
    """
    async with core.database.connection() as c:
        await orphans.get_orphan(c, host_id, vm_id)
        host = await _reachable(c, host_id)
    node = core.nodes.of(host)
    with core.mine.holding(vm_id):  # what is seen of it from here on is written when there is a row for it
        kept, observed = await get_spec(node, vm_id), await node.get_vm(vm_id)
        kept = replace(kept, new=replace(kept.new, name=name or kept.new.name))
        _check(kept.new)
        async with core.database.transaction() as tx:
            new = await _resolve(core, tx, host, kept)
            await _claim(core, tx, host, new)
            await _check_unknown(tx, vm_id)
            await _keep(tx, host, (vm_id, new), observed)
            return await vms.get_vm_document(tx, vm_id)


async def _delete(core: Core, host_id: str, vm_id: str) -> None:
    async with core.database.transaction() as tx:
        host = await hosts.lock_host(tx, host_id)
        before = await tx.snapshot("orphan", vm_id)
        name = await orphans.take_orphan(tx, host_id, vm_id)
        await orphans.insert_tombstone(tx, vm_id, host_id, name)
        message = f"orphan {name} on host {host.name} was deleted"
        tx.record(Event("delete", "orphan", vm_id, name, message, before=before))
    if not host.reachable:
        raise NodeUnavailable(f"host {host.name} does not answer; its node is told when it returns")
    await core.nodes.of(host).delete_vm(vm_id)
    async with core.database.connection() as c:
        await orphans.delete_tombstone(c, vm_id)


async def _reachable(c: Connection, host_id: str) -> Host:
    host = await hosts.get_host(c, host_id)
    if not host.reachable:
        raise NodeUnavailable(f"host {host.name} does not answer: {host.status_reason or 'try again later'}")
    return host


def _check(new: NewVm) -> None:
    """Hold what a node says to the rules that a client's body is held to."""
    if not re.fullmatch(NAME_PATTERN.removesuffix("$"), new.name):
        raise Invalid(
            f"{new.name!r} cannot be a VM's name: adopt it with ?name= and 1 to 63 letters, digits, '.', '_' "
            "or '-'",
            code="bad_name",
        )
    if not (1 <= new.boot_vcpus <= new.max_vcpus and new.memory_size > 0):
        raise Invalid(
            f"its node keeps a spec that cannot be: {new.boot_vcpus} of {new.max_vcpus} vCPUs, "
            f"{new.memory_size} bytes of memory",
            code="bad_spec",
        )


async def _resolve(core: Core, tx: Transaction, host: Host, kept: KeptSpec) -> NewVm:
    """Find what a spec's files are here."""
    defaults = core.settings.vm_defaults
    source_id, disks = None, kept.disks
    if kept.boot == (await files.resolve(tx, None, (), defaults)).boot:
        disks = tuple(disk for disk in disks if disk.id != files.ROOT_DISK)
    else:
        source_id = await _boot_source(tx, host, kept.boot)
    return replace(kept.new, boot_source_id=source_id, disks=await _disks(tx, host, disks))


async def _boot_source(tx: Transaction, host: Host, boot: Boot) -> str:
    found = await orphans.find_boot_source(tx, host.id, boot, files.DEFAULT_PARAMETERS)
    if found is None:
        initrd = f", initrd {boot.initrd.path}" if boot.initrd else ""
        raise Invalid(
            f"no boot source is kernel {boot.kernel.path}{initrd} with the command line {boot.cmdline!r}: "
            "make one, then adopt again",
            code="no_such_boot_source",
        )
    return found


async def _disks(tx: Transaction, host: Host, disks: tuple[DiskFile, ...]) -> tuple[VmDisk, ...]:
    known = await orphans.find_objects(tx, host.id, [disk.file.path for disk in disks])
    for disk in disks:
        if disk.file.path not in known:
            raise Invalid(
                f"{disk.file.path} is no storage object of host {host.name}: register it, then adopt again",
                code="no_such_storage_object",
            )
    return tuple(VmDisk(known[disk.file.path], disk.readonly, disk.image_type) for disk in disks)


async def _claim(core: Core, tx: Transaction, host: Host, new: NewVm) -> None:
    share = Share(host.id, new.boot_vcpus, claiming.memory_of(new))
    if not await hosts.claim_host(tx, share, core.settings.placement):
        raise Invalid(
            f"host {host.name} is not up or has no room for {new.boot_vcpus} vCPUs and "
            f"{claiming.memory_of(new)} bytes: make room, then adopt again",
            code="no_host_fits",
        )


async def _check_unknown(tx: Transaction, vm_id: str) -> None:
    if home := (await vms.list_vm_hosts(tx, [vm_id])).get(vm_id):
        raise Conflict(
            f"VM {vm_id} is known here and its home is host {home}: delete one of the two",
            code="vm_known",
        )


async def _keep(tx: Transaction, host: Host, vm: tuple[str, NewVm], observed: Observation) -> None:
    vm_id, new = vm
    gone = await tx.snapshot("orphan", vm_id)
    name = await orphans.take_orphan(tx, host.id, vm_id)
    driver = observed.driver or None
    await vms.insert_vms(tx, [Placed(vm_id, new, host.id, driver)])
    await vms.update_observed(tx, [(host.id, observed)])
    message = f"{new.name} on host {host.name} was adopted"
    tx.record(Event("adopt", "orphan", vm_id, name, message, before=gone))
    history.record_vm(tx, "adopt", (vm_id, new.name), message, None)
