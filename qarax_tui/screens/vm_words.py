"""How a VM's driver and its running operation read."""

from __future__ import annotations

from qarax_tui.client.records import Host, Operation, Vm
from qarax_tui.screens.format import duration

_DOING = {
    "start": "starting", "stop": "stopping", "pause": "pausing", "resume": "resuming", "reboot": "rebooting",
    "delete": "deleting", "create": "creating", "deploy": "deploying",
}  # fmt: skip


def stands_in(vm: Vm, host: Host | None) -> bool:
    """Whether something else runs what Cloud Hypervisor was asked for, as its host says."""
    return host is not None and vm.driver in host.stand_ins


def driver_words(vm: Vm, host: Host | None) -> str:
    """`qemu (stand-in)` when it is one."""
    name = vm.driver.replace("_", " ")
    return f"{name} (stand-in)" if stands_in(vm, host) else name


def doing(operation: Operation, now: float) -> str:
    """`stopping 24 s`: what is going on, with the time left before the guest is forced."""
    word = _DOING.get(operation.action, operation.action)
    if operation.progress is not None:
        return f"{word} {operation.progress:.0%}"
    if operation.action == "stop" and operation.deadline_at is not None:
        return f"{word} {duration(operation.deadline_at - now)}"
    return word
