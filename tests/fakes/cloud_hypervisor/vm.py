"""One VM object: made by a boot in the order of v53.0's own checks, gone at shutdown.

A failure while devices are made strips their list from the stored config (the VMM takes it out and puts it
back only when all of it worked); a failure after that leaves the VM object half-built (`LateError`).
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from tests.fakes.cloud_hypervisor.backends import MANAGER, Disk, Tap, Vsock
from tests.fakes.cloud_hypervisor.checks import devices_of, validate
from tests.fakes.cloud_hypervisor.consoles import Output, SerialSocket
from tests.fakes.cloud_hypervisor.devices import DeviceTree
from tests.fakes.cloud_hypervisor.errors import VmError, os_error
from tests.fakes.cloud_hypervisor.guest import Guest
from tests.fakes.cloud_hypervisor.knobs import of_machine
from tests.fakes.cloud_hypervisor.machine import Machine
from tests.fakes.cloud_hypervisor.traffic import Responder
from tests.fakes.cloud_hypervisor.vhost_user import VhostUser

if TYPE_CHECKING:
    from collections.abc import Callable

HOST_CPUS = 1024
PAGE = 4096
UNSET = 2**64 - 1
PVH_NOTE = b"Xen\0"
NET_COUNTERS = ("rx_bytes", "rx_frames", "tx_bytes", "tx_frames")


class LateError(Exception):
    """The boot failed after the VM object came to be."""

    def __init__(self, vm: Vm, cause: VmError) -> None:
        super().__init__(*cause.chain)
        self.vm = vm
        self.cause = cause


class Vm:
    """`state` is `Created` (half-built), `Running` or `Paused`."""

    def __init__(
        self, config: dict[str, Any], outputs: dict[str, Output], post: Callable[[str], None]
    ) -> None:
        self.config = config
        self.outputs = outputs
        self.post = post
        self.state = "Created"
        self.disks: dict[str, Disk] = {}
        self.nets: dict[str, Tap | VhostUser] = {}
        self.responder: Responder | None = None
        self.vsock: Vsock | None = None
        self.tree = DeviceTree()
        self.knobs = of_machine((config["payload"] or {}).get("cmdline") or "")
        self.machine: Machine | None = None
        self.guest: Guest | None = None

    # -- boot --------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Raises VmError for an early failure, LateError for a late one."""
        _check_memory(self.config["memory"])
        validate(self.config)
        _check_cpus(self.config["cpus"])
        try:
            self._make_devices()
            self._open_initramfs()
        except VmError:
            serial = self.outputs["serial"]
            if isinstance(serial, SerialSocket):
                serial.unlink()
            self._release_devices()
            raise
        try:
            self._lock_disks()
            _load_payload(self.config["payload"])
        except VmError as error:
            raise LateError(self, error) from None
        self._run()

    def _make_devices(self) -> None:
        self.tree.name(self.config)
        self._make_list("disks", self._make_disk)
        self._make_list("net", self._make_net)
        if self.config["vsock"]:
            vsock, self.config["vsock"] = self.config["vsock"], None
            self.vsock = Vsock(vsock)
            self.config["vsock"] = vsock
        self.config["iommu"] = self.config["iommu"] or any(
            one.get("iommu") for one in devices_of(self.config)
        )
        self.tree.build(self.config)

    def _make_list(self, kind: str, make: Callable[[dict[str, Any]], None]) -> None:
        entries, self.config[kind] = self.config[kind], None
        for entry in entries or []:
            make(entry)
        self.config[kind] = entries

    def _make_disk(self, entry: dict[str, Any]) -> None:
        if not entry["vhost_user"]:
            self.disks[entry["id"]] = Disk(entry)

    def _make_net(self, entry: dict[str, Any]) -> None:
        if entry["vhost_user"]:
            self.nets[entry["id"]] = VhostUser(entry, self.knobs.seconds("vhost-user"))
            return
        tap = self.nets[entry["id"]] = Tap(entry, assume="assume-taps" in self.knobs)
        address = re.search(r"(?:^|\s)ip=([0-9.]+/\d+)", (self.config["payload"] or {}).get("cmdline") or "")
        if address and tap.descriptors and self.responder is None:
            self.responder = Responder(tap.descriptors[0], entry["mac"], address[1])

    def _open_initramfs(self) -> None:
        path = self.config["payload"].get("initramfs")
        if path:
            try:
                os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            except OSError as error:
                raise VmError("Cannot open initramfs file", os_error(error)) from None

    def _lock_disks(self) -> None:
        for disk in self.disks.values():
            try:
                disk.lock()
            except VmError as error:
                title = "Error locking disk images: Another instance likely holds a lock"
                raise VmError(title, *error.chain) from None

    def _run(self) -> None:
        machine = Machine()
        serial = self.outputs["serial"]
        cmdline = self.config["payload"].get("cmdline") or ""
        guest = Guest(machine, serial, cmdline, self.knobs, self.post)
        guest.disks = [disk.descriptor for disk in self.disks.values()]
        self.machine, self.guest = machine, guest
        self.state = "Running"
        machine.call(lambda: serial.serve(machine, guest.on_input))
        if self.responder:
            responder = self.responder
            machine.call(lambda: responder.serve(machine))
        machine.call(guest.boot)
        machine.start()

    # -- life --------------------------------------------------------------------------------------------

    def transition(self, target: str) -> None:
        """Pause or resume; raises VmError when it is not the other state now."""
        verb = "pause" if target == "Paused" else "resume"
        if self.state == target:
            raise VmError(
                f"Cannot {verb} VM",
                f"Failed to {verb} migratable component",
                f"Invalid transition: InvalidStateTransition({target}, {target})",
            )
        self.state = target
        if self.machine and self.guest:
            if target == "Paused":
                self.machine.call(self.machine.pause)
            else:
                self.machine.call(self.machine.resume)
                self.machine.call(self.guest.on_resume)

    def power_button(self) -> None:
        if self.machine and self.guest:
            self.machine.call(self.guest.press_power_button)

    def counters(self) -> dict[str, dict[str, int]]:
        counters: dict[str, dict[str, int]] = {}
        for name in self.disks:
            latencies = {f"{way}_latency_{which}": UNSET // 10_000 if which == "avg" else UNSET
                         for way in ("read", "write") for which in ("min", "max", "avg")}  # fmt: skip
            counters[name] = {"read_bytes": 0, "write_bytes": 0, "read_ops": 0, "write_ops": 0, **latencies}
        for place, name in enumerate(self.nets):
            seen = self.responder.counters if self.responder and place == 0 else {}
            counters[name] = {**dict.fromkeys(NET_COUNTERS, 0), **seen}
        return counters

    def shutdown(self) -> None:
        """Stop the guest, close and remove everything the VM held."""
        if self.machine:
            self.machine.stop()
        for output in self.outputs.values():
            if isinstance(output, SerialSocket):
                output.unlink()
                output.machine = None
            output.close()
        self._release_devices()

    def _release_devices(self) -> None:
        for disk in self.disks.values():
            disk.close()
        for net in self.nets.values():
            net.close()
        if self.vsock:
            self.vsock.close()
        self.disks, self.nets, self.vsock, self.responder = {}, {}, None, None

    # -- hot plug ----------------------------------------------------------------------------------------

    def plug(self, kind: str, entry: dict[str, Any], prefix: str) -> dict[str, str]:
        """Add a device to the running VM; returns its id and BDF."""
        self.tree.name_one(entry, prefix)
        if entry["id"] in self.tree.nodes:
            raise VmError(MANAGER, f"Invalid identifier as it is not unique: {entry['id']}")
        if kind == "disks" and not entry["vhost_user"]:
            disk = Disk(entry)
            try:
                disk.lock()
            except VmError as error:
                disk.close()
                raise VmError(MANAGER, *error.chain) from None
            self.disks[entry["id"]] = disk
        elif kind == "net":
            self._make_net(entry)
        return {"id": entry["id"], "bdf": self.tree.add(kind, entry)}

    def unplug(self, name: str) -> str:
        """Take a device out (this guest ejects at once); returns the BDF it had."""
        if name not in self.tree.nodes:
            raise VmError(MANAGER, f"Failed to find device corresponding to the given identifier: {name}")
        if name not in self.tree.kinds or name.startswith("__"):
            raise VmError(MANAGER, f"Not allowed to remove this type of device from the VM: {name}")
        for held in (self.disks, self.nets):
            device = held.pop(name, None)
            if device:
                device.close()
        return self.tree.remove(name)


def _check_memory(memory: dict[str, Any]) -> None:
    if memory["zones"] and memory["size"]:
        raise VmError("Memory manager error", "Memory configuration is not valid")
    page = (memory["hugepage_size"] or 2 << 20) if memory["hugepages"] else PAGE
    if memory["size"] % page or not (memory["size"] or memory["zones"]):
        raise VmError(
            "Memory manager error", "Memory size is misaligned with default page size or its hugepage size"
        )


def _check_cpus(cpus: dict[str, Any]) -> None:
    if cpus["max_vcpus"] > HOST_CPUS:
        most = cpus["max_vcpus"]
        raise VmError(
            "Error from CPU manager", f"Maximum number of vCPUs {most} exceeds host limit {HOST_CPUS}"
        )


def _load_payload(payload: dict[str, Any]) -> None:
    """An ELF with a PVH note or a bzImage; any file will do as firmware."""
    path = payload["kernel"] or payload["firmware"]
    missing = "Cannot open kernel file" if payload["kernel"] else "Error manipulating firmware file"
    try:
        with open(path, "rb") as file:
            image = file.read(1 << 16)
            if payload["firmware"]:
                payload["cmdline"] = payload["initramfs"] = None
                return
            if image[:4] == b"\x7fELF":
                image += file.read()
    except OSError as error:
        raise VmError(missing, os_error(error)) from None
    if image[:4] == b"\x7fELF":
        if PVH_NOTE not in image:
            raise VmError("Kernel lacks PVH header")
    elif image[0x202:0x206] != b"HdrS":
        raise VmError("Cannot load the kernel into memory", "Invalid ELF magic number")
