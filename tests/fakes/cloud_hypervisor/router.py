"""Paths, methods and bodies: which request reaches the VMM, and what its outcome looks like on the wire."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

from tests.fakes.cloud_hypervisor import bodies, operations, schema
from tests.fakes.cloud_hypervisor.errors import ApiError, VmError, VmmPanic
from tests.fakes.cloud_hypervisor.jsonreader import SerdeError
from tests.fakes.cloud_hypervisor.structs import Struct, read_document
from tests.fakes.cloud_hypervisor.wire import Request, reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakes.cloud_hypervisor.knobs import Knobs
    from tests.fakes.cloud_hypervisor.vmm import Vmm

BASE = "/api/v1/"
FEATURES = ["io_uring", "kvm", "mshv"]
PATCH_WITH_BODY = ("vm.create", "vm.info", "vmm.ping", "vmm.shutdown")
BODILESS = {
    "vm.boot": ("The VM could not boot", "boot"),
    "vm.delete": ("The VM could not be deleted", "delete"),
    "vm.pause": ("The VM could not be paused", "pause"),
    "vm.resume": ("The VM could not resume", "resume"),
    "vm.shutdown": ("The VM could not shutdown", "shutdown"),
    "vm.reboot": ("The VM could not reboot", "reboot"),
    "vm.power-button": ("Error triggering power button", "power_button"),
    "vm.nmi": ("Error triggering NMI", "nmi"),
}
READS = {
    "vm.info": ("The VM info is not available", "info"),
    "vm.counters": ("The VM info is not available", "counters"),
}
ADDS = {
    "vm.add-disk": ("disk", "disks", "_disk", schema.DISK),
    "vm.add-net": ("network device", "net", "_net", schema.NET),
    "vm.add-fs": ("fs", "fs", "_fs", schema.FS),
    "vm.add-pmem": ("pmem device", "pmem", "_pmem", schema.PMEM),
    "vm.add-vsock": ("vsock device", "vsock", "_vsock", schema.VSOCK),
    "vm.add-vdpa": ("vDPA device", "vdpa", "_vdpa", schema.VDPA),
    "vm.add-device": ("device", "devices", "_vfio", schema.DEVICE),
    "vm.add-user-device": ("user device", "user_devices", "_vfio_user", schema.USER_DEVICE),
    "vm.add-generic-vhost-user": (
        "generic vhost-user device", "generic_vhost_user", "_generic_vhost_user", schema.VHOST_USER,
    ),
}  # fmt: skip
BODIES: dict[str, tuple[str, Struct, Callable[[Vmm, dict[str, Any]], dict[str, Any] | None]]] = {
    "vm.create": ("The VM could not be created", schema.VM, lambda vmm, body: vmm.create(body)),
    "vm.resize": ("The VM could not be resized", bodies.RESIZE, operations.resize),
    "vm.resize-disk": ("The disk could not be resized", bodies.RESIZE_DISK, operations.resize_disk),
    "vm.resize-zone": ("The memory zone could not be resized", bodies.RESIZE_ZONE, operations.resize_zone),
    "vm.remove-device": (
        "The device could not be removed from the VM",
        bodies.REMOVE_DEVICE,
        lambda vmm, body: vmm.remove_device(body["id"]),
    ),
    "vm.snapshot": ("The VM could not be snapshotted", bodies.SNAPSHOT, operations.snapshot),
    "vm.restore": ("The VM could not be restored", bodies.RESTORE, operations.restore),
    "vm.send-migration": (
        "Error dispatching the migration worker", bodies.SEND_MIGRATION, operations.send_migration,
    ),
    "vm.receive-migration": (
        "Error receiving migration", bodies.RECEIVE_MIGRATION, operations.receive_migration,
    ),
}  # fmt: skip


def _array(status: int, *chain: str) -> bytes:
    return reply(status, json.dumps(chain, ensure_ascii=False, separators=(",", ":")).encode())


BAD_REQUEST = _array(400, "Bad Request")
EMPTY_BAD_REQUEST = reply(400)
NOT_FOUND = _array(404, "Not Found")


class Router:
    """Answers requests; None means the connection closes without a reply."""

    def __init__(self, vmm: Vmm, version: str) -> None:
        self.vmm = vmm
        self.version = version

    def handle(self, request: Request) -> bytes | None:
        name = request.path.removeprefix(BASE)
        self.vmm.log.note("http-server", "vmm/src/api/http/mod.rs:1", f"API request: {request.method} {name}")
        knobs = self.vmm.vm.knobs if self.vmm.vm else operations.knobs_of(self.vmm)
        if "record" in self.vmm.knobs:
            _record(self.vmm.knobs.get("record"), request, name)
        if knobs.get("drop-unread") == name:
            return None
        try:
            _fall_over(name, knobs)
            answer = self._answer(name, request, refuse=knobs.get("refuse"))
        except SerdeError as error:
            answer = _array(400, "Failed to deserialize JSON", str(error))
        except ApiError as error:
            self.vmm.log.note("http-server", "vmm/src/api/http/mod.rs:2", f"API error: {error.chain}")
            answer = _array(error.status, *error.chain)
        except VmmPanic as panic:
            self.vmm.log.panic(str(panic))
            self.vmm.loop.exit_code = 1
            answer = _array(500, "API response receive error", "receiving on a closed channel")
        finally:
            for descriptor in request.fds:
                os.close(descriptor)
        return None if knobs.get("drop") == name else answer

    def _answer(self, name: str, request: Request, *, refuse: str) -> bytes:
        if refuse == name:
            raise SerdeError(f"told to refuse {name}")
        if not request.path.startswith(BASE) or name not in ENDPOINTS:
            return NOT_FOUND
        if request.method == "PATCH":
            return BAD_REQUEST if name in PATCH_WITH_BODY else EMPTY_BAD_REQUEST
        if request.method != ("GET" if name == "vmm.ping" or name in READS else "PUT"):
            return BAD_REQUEST
        return self._dispatch(name, request)

    def _dispatch(self, name: str, request: Request) -> bytes:
        if name == "vmm.ping":
            return self._ping()
        if name == "vmm.shutdown":
            self.vmm.loop.exit_code = self.vmm.end()
            return reply(200)
        if name in READS:
            what, method = READS[name]
            return reply(200, _compact(_call(what, getattr(self.vmm, method))))
        if name in BODILESS:
            return self._bodiless(name, request)
        return self._with_body(name, request)

    def _ping(self) -> bytes:
        version = self.version.removeprefix("v")
        version = version if version.count(".") > 1 else version + ".0"
        ping = {"build_version": self.version, "version": version, "pid": os.getpid(), "features": FEATURES}
        return reply(200, _compact(ping))

    def _bodiless(self, name: str, request: Request) -> bytes:
        if request.body is not None:
            return BAD_REQUEST
        what, method = BODILESS[name]
        _call(what, getattr(self.vmm, method))
        return reply(204)

    def _with_body(self, name: str, request: Request) -> bytes:
        if request.body is None:
            return EMPTY_BAD_REQUEST if name == "vm.create" else BAD_REQUEST
        if name in ADDS:
            return self._add(name, request)
        what, shape, function = BODIES[name]
        body = read_document(shape, request.body)
        _call(what, lambda: function(self.vmm, body))
        return reply(204)

    def _add(self, name: str, request: Request) -> bytes:
        kind, config_list, prefix, shape = ADDS[name]
        entry = read_document(shape, request.body or b"")
        if name == "vm.add-device" and len(request.fds) > 1:
            return BAD_REQUEST
        if name == "vm.add-net":
            # What fails from here on keeps the descriptors, as the real one leaks them.
            entry["fds"], request.fds = request.fds or None, []
        what = f"The {kind} could not be added to the VM"
        answer = _call(what, lambda: self.vmm.add(config_list, prefix, entry))
        return reply(204) if answer is None else reply(200, _compact(answer))


ENDPOINTS = {"vmm.ping", "vmm.shutdown", *BODILESS, *READS, *ADDS, *BODIES}


def _record(path: str, request: Request, name: str) -> None:
    body = None if request.body is None else request.body.decode(errors="replace")
    line = json.dumps({"method": request.method, "endpoint": name, "body": body, "fds": len(request.fds)})
    with open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")


def _fall_over(name: str, knobs: Knobs) -> None:
    if knobs.get("die") == name:
        os.kill(os.getpid(), signal.SIGKILL)
    if knobs.get("panic") == name:
        raise VmmPanic(f"told to panic in {name}")


def _compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _call(what: str, function: Callable[[], dict[str, Any] | None]) -> dict[str, Any] | None:
    try:
        return function()
    except VmError as error:
        raise ApiError(what, error) from None
