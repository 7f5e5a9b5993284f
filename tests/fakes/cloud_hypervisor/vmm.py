"""The VMM: at most one stored config and one VM object, and every endpoint's work (sheet section 2.4).

States: no config; config only (`Created`); a VM object. `router.py` turns failures into replies; a return
value of None is a 204.
"""

from __future__ import annotations

import copy
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from tests.fakes.cloud_hypervisor import errors, landlock, schema
from tests.fakes.cloud_hypervisor.checks import validate
from tests.fakes.cloud_hypervisor.consoles import Output, open_outputs
from tests.fakes.cloud_hypervisor.errors import VmError
from tests.fakes.cloud_hypervisor.vhost_user import VhostUser
from tests.fakes.cloud_hypervisor.vm import LateError, Vm

if TYPE_CHECKING:
    from tests.fakes.cloud_hypervisor.events import EventMonitor
    from tests.fakes.cloud_hypervisor.knobs import Knobs
    from tests.fakes.cloud_hypervisor.server import Loop

Answer = dict[str, Any] | None


class Vmm:
    """`loop` is set by `__main__` once there is one."""

    loop: Loop

    def __init__(self, events: EventMonitor, log: Any, knobs: Knobs, *, no_shutdown: bool) -> None:
        self.events = events
        self.log = log
        self.knobs = knobs
        self.no_shutdown = no_shutdown
        self.config: dict[str, Any] | None = None
        self.outputs: dict[str, Output] | None = None
        self.vm: Vm | None = None

    # -- life of the config ------------------------------------------------------------------------------

    def create(self, config: dict[str, Any]) -> Answer:
        if self.config is not None:
            raise VmError(errors.ALREADY_CREATED)
        for net in config["net"] or []:
            net["fds"] = None
        self.config = config
        self.outputs = open_outputs(config)
        if config["landlock_enable"]:
            landlock.apply(config)
        return None

    def boot(self) -> Answer:
        if self.vm is not None:
            raise VmError(errors.ALREADY_CREATED)
        self.events.emit("vm", "booting")
        if self.config is None:
            raise VmError("VM config is missing")
        if self.outputs is None:
            self.outputs = open_outputs(self.config)
        self._boot(self.outputs)
        self.events.emit("vm", "booted")
        return None

    def _boot(self, outputs: dict[str, Output]) -> None:
        vm = Vm(self.config or {}, outputs, self.loop.post)
        time.sleep(vm.knobs.seconds("boot") or 0)
        try:
            vm.boot()
        except LateError as failure:
            self.vm = failure.vm
            raise failure.cause from None
        self.vm = vm

    def delete(self) -> Answer:
        if self.config is None:
            return None
        if self.vm is not None:
            self.shutdown()
        for output in (self.outputs or {}).values():
            output.close()
        self.config = self.outputs = None
        self.events.emit("vm", "deleted")
        return None

    # -- life of the VM object ---------------------------------------------------------------------------

    def running(self) -> Vm:
        if self.vm is None:
            raise VmError(errors.NOT_RUNNING)
        return self.vm

    def pause(self) -> Answer:
        vm = self.running()
        self.events.emit("vm", "pausing")
        vm.transition("Paused")
        self.events.emit("vm", "paused")
        return None

    def resume(self) -> Answer:
        vm = self.running()
        self.events.emit("vm", "resuming")
        vm.transition("Running")
        self.events.emit("vm", "resumed")
        return None

    def shutdown(self) -> Answer:
        vm = self.running()
        self.vm = self.outputs = None
        vm.shutdown()
        self.events.emit("vm", "shutdown")
        return None

    def reboot(self) -> Answer:
        """Tear down and build again from the paths of the config."""
        if self.vm is None:
            raise VmError(errors.NOT_CREATED)
        self.events.emit("vm", "rebooting")
        vm, self.vm, self.outputs = self.vm, None, None
        vm.shutdown()
        try:
            self.outputs = open_outputs(self.config or {})
            self._boot(self.outputs)
        except VmError:
            self._drop_half_built()
            raise
        self.events.emit("vm", "rebooted")
        return None

    def _drop_half_built(self) -> None:
        vm = self.vm
        if vm is not None:
            self.vm = self.outputs = None
            vm.shutdown()

    def power_button(self) -> Answer:
        self.running().power_button()
        return None

    def nmi(self) -> Answer:
        self.running()
        return None

    # -- what it says ------------------------------------------------------------------------------------

    def info(self) -> Answer:
        if self.config is None:
            raise VmError(errors.NOT_CREATED)
        memory = self.config["memory"]
        size = memory["size"] + sum(zone["size"] for zone in memory["zones"] or [])
        info: dict[str, Any] = {
            "config": schema.VM.dump(self.config),
            "state": self.vm.state if self.vm else "Created",
            "memory_actual_size": size - ((self.config["balloon"] or {}).get("size", 0) if self.vm else 0),
        }
        if self.vm:
            info["device_tree"] = self.vm.tree.nodes
        return info

    def counters(self) -> Answer:
        return self.running().counters()

    # -- devices -----------------------------------------------------------------------------------------

    def add(self, kind: str, prefix: str, entry: dict[str, Any]) -> Answer:
        """Append to the config, and plug into the VM when there is one."""
        if self.config is None:
            raise VmError(errors.NOT_CREATED)
        config = copy.deepcopy(self.config)
        if kind == "vsock":
            if config["vsock"]:
                raise VmError("Too many virtio-vsock devices")
            config["vsock"] = entry
        else:
            config[kind] = [*(config[kind] or []), entry]
        validate(config)
        answer = self.vm.plug(kind, entry, prefix) if self.vm else None
        self.config[kind] = entry if kind == "vsock" else [*(self.config[kind] or []), entry]
        return answer

    def remove_device(self, name: str) -> Answer:
        if self.config is None:
            raise VmError(errors.NOT_CREATED)
        bdf = self.vm.unplug(name) if self.vm else None
        found = False
        for kind in ("disks", "net", "fs", "pmem", "vdpa", "devices", "user_devices", "generic_vhost_user"):
            entries = self.config[kind] or []
            kept = [entry for entry in entries if entry["id"] != name]
            found = found or len(kept) < len(entries)
            if entries:
                self.config[kind] = kept
        if not found and not self.vm:
            raise VmError(f'No device with id "{name}" to remove')
        if bdf:
            self.events.emit("vm", "device-removed", {"id": name, "bdf": bdf})
        return None

    # -- what comes from elsewhere -----------------------------------------------------------------------

    def end(self) -> int:
        """Stop hard and leave; the exit code."""
        self.delete()
        self.events.emit("vmm", "shutdown")
        return 0

    def on_event(self, event: str) -> int | None:
        """A signal, or what the guest did; an exit code ends the process."""
        if event == "signal":
            return self.end()
        if self.vm is None:
            return None
        ends = {"vcpu-error": self._on_vcpu_error, "poweroff": self._on_poweroff, "reboot": self._on_reboot}
        if event in ends:
            return ends[event]()
        self._carry_on(self.vm, event)
        return None

    def _carry_on(self, vm: Vm, event: str) -> None:
        """What leaves the VM as it is, or the process not there at all."""
        if event == "drivers":
            self._tell_of_drivers(vm)
        elif event == "panic" and (self.config or {}).get("pvpanic"):
            self.events.emit("guest", "panic", {"event": "panic"})
        elif event == "flooded":
            self.log.note("guest", "stand-in", "the flood has ended")
        elif event == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif event == "hang":
            self.log.fault("vmm", "stand-in", "the VMM thread blocks, as asked")
            threading.Event().wait()

    def _on_vcpu_error(self) -> int:
        self.log.fault("vcpu0", "vmm/src/cpu.rs:1", "VCPU generated error: Failed to run vCPU")
        return self.end()

    def _tell_of_drivers(self, vm: Vm) -> None:
        """The guest's drivers have taken the devices; a vhost-user interface only tells of its reset."""
        for name in vm.tree.nodes:
            if not name.startswith("_virtio-pci") and f"_virtio-pci-{name}" in vm.tree.nodes:
                event = "reset" if isinstance(vm.nets.get(name), VhostUser) else "activated"
                self.events.emit("virtio-device", event, {"id": name})

    def _on_poweroff(self) -> int | None:
        if not self.no_shutdown:
            return self.end()
        self.shutdown()
        return None

    def _on_reboot(self) -> int | None:
        try:
            self.reboot()
        except VmError as error:
            self.log.chain("VMM thread exited with error", "Error rebooting VM", *error.chain)
            return 1
        return None
