"""What can be done to VMs, the same in the list, the details and the console.

Starting, pausing and resuming happen at once; the others ask and name the VM. Deleting a running VM, and
deleting several, is typed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from qarax_tui.client.records import Vm
from qarax_tui.keys import BY_ID
from qarax_tui.screens.confirm import Question
from qarax_tui.screens.jobs import Job, left_out
from qarax_tui.screens.view import View

if TYPE_CHECKING:
    from qarax_tui.client.api import Api

Send = Callable[["Api", str], Awaitable[object]]
Left = Sequence[tuple[Vm, str]]
"""VMs that nothing is done to, with why not."""
_UNKNOWN = "unknown"
_LOUD = {"running", "paused", _UNKNOWN}
_NAMES_SHOWN = 6


class VmVerbs(View):
    """A view whose `vms()` are what the verbs take."""

    def cannot(self, action_id: str) -> str:
        vms = self.vms()
        if action_id == "delete" and all(vm.protected for vm in vms):
            key = self.session.keymap.shown_id("edit")
            return f"{_named(vms)}: protected from deletion; {key} takes that away."
        return ""

    def do_start(self) -> None:
        self._each("start", lambda api, vm_id: api.start_vm(vm_id))

    def do_pause(self) -> None:
        self._each("pause", lambda api, vm_id: api.pause_vm(vm_id))

    def do_resume(self) -> None:
        self._each("resume", lambda api, vm_id: api.resume_vm(vm_id))

    def do_stop(self) -> None:
        vms, left = self._fitting("stop")
        stopping = [vm for vm in vms if vm.operation is not None and vm.operation.action == "stop"]
        if len(stopping) == len(vms):
            self._ask_force(stopping, left)
            return
        going = [vm for vm in vms if vm not in stopping]
        left += [(vm, "it is being stopped already") for vm in stopping]
        self._ask(_stop_question(going), going, "stop", lambda api, vm_id: api.stop_vm(vm_id), left)

    def _ask_force(self, vms: Sequence[Vm], left: Left) -> None:
        who = "It is" if len(vms) == 1 else "They are"
        lines = (
            f"{who} being stopped already. Forcing pulls the plug: what the guest has not written is lost.",
        )
        question = Question(f"Force {_named(vms)} off now?", lines, "Force off")
        self._ask(question, vms, "stop", lambda api, vm_id: api.stop_vm(vm_id, grace=0), left)

    def do_reboot(self) -> None:
        vms, left = self._fitting("reboot")
        lines = ("The guest restarts; what runs in it is interrupted.",)
        question = Question(f"Reboot {_named(vms)}?", lines, "Reboot")
        self._ask(question, vms, "reboot", lambda api, vm_id: api.reboot_vm(vm_id), left)

    def do_delete(self) -> None:
        vms = list(self.vms())
        away = {vm.id for vm in vms if self._is_away(vm)}
        question = _delete_question(vms, len(away))
        self._ask(question, vms, "delete", lambda api, vm_id: api.delete_vm(vm_id, force=vm_id in away))

    def _is_away(self, vm: Vm) -> bool:
        """Whether nothing can be asked of it: a VM of a host that is up may be unknown because it hangs."""
        host = self.fleet.hosts.get(vm.host_id)
        return vm.status == _UNKNOWN and (host is None or host.status != "up")

    def _fitting(self, action_id: str) -> tuple[list[Vm], list[tuple[Vm, str]]]:
        """The targets whose status allows it, and the others with why not.

        The refusal for none at all was said by the main screen.
        """
        allowed = BY_ID[action_id].statuses
        fit = [vm for vm in self.vms() if allowed is None or vm.status in allowed]
        return fit, [(vm, f"it is {vm.status}") for vm in self.vms() if vm not in fit]

    def _each(self, action_id: str, send: Send) -> None:
        vms, left = self._fitting(action_id)
        self._run(action_id, vms, send, left)

    def _ask(
        self, question: Question, vms: Sequence[Vm], action_id: str, send: Send, left: Left = ()
    ) -> None:
        if left:
            words = f"Left out, it does not fit them: {_list([vm for vm, _ in left])}."
            question = replace(question, lines=(*question.lines, words))
        self.confirm(question, lambda: self._run(action_id, vms, send, left))

    def _run(self, action_id: str, vms: Sequence[Vm], send: Send, left: Left) -> None:
        """For each that is still there; the others show in the report with why not."""
        api, label = self.session.api, BY_ID[action_id].label
        here = [vm for vm in vms if vm.id in self.fleet.vms]
        left = [*((vm, "it is gone") for vm in vms if vm not in here), *left]
        if here:
            jobs = [Job(vm.name, _bound(send, api, vm.id)) for vm in here]
            jobs += [left_out(vm.name, why) for vm, why in left]
            self.main.run_jobs(f"{label} {_named(here)}", jobs)
        else:
            self.main.toast(f"{label}: the VM is gone, nothing was done.", severity="warning")


def _bound(send: Send, api: Api, vm_id: str) -> Callable[[], Awaitable[object]]:
    return lambda: send(api, vm_id)


def _named(vms: Sequence[Vm]) -> str:
    return vms[0].name if len(vms) == 1 else f"{len(vms)} VMs"


def _list(vms: Sequence[Vm]) -> str:
    names = ", ".join(vm.name for vm in vms[:_NAMES_SHOWN])
    return names + (f" and {len(vms) - _NAMES_SHOWN} more" if len(vms) > _NAMES_SHOWN else "")


def _stop_question(vms: Sequence[Vm]) -> Question:
    lines = [] if len(vms) == 1 else [_list(vms)]
    lines.append("The power button is pressed; a guest that does not obey in time is forced off.")
    if any(vm.status == "paused" for vm in vms):
        lines.append("A paused VM is resumed first, so that it can obey.")
    return Question(f"Stop {_named(vms)}?", tuple(lines), "Stop")


def _delete_question(vms: Sequence[Vm], away: int) -> Question:
    loud = [vm for vm in vms if vm.status in _LOUD]
    lines = [] if len(vms) == 1 else [_list(vms)]
    if loud:
        alone = "It may be running" if vms[0].status == _UNKNOWN else f"It is {vms[0].status}"
        states = (
            "running, paused or unknown" if any(vm.status == _UNKNOWN for vm in loud) else "running or paused"
        )
        who = alone if len(vms) == 1 else f"{len(loud)} of them are {states}"
        lines.append(f"{who} and will be cut off hard; what the guest has not written is lost.")
    if away:
        who = "Its host does" if len(vms) == 1 else f"The hosts of {away} of them do"
        lines.append(f"{who} not answer: forgotten here now, ended there as soon as the host is back.")
    if protected := [vm for vm in vms if vm.protected]:
        lines.append(f"Protected, so it will be refused: {_list(protected)}.")
    lines.append("The VM, its console log and its claim on the host go. Disks and images stay.")
    typed = vms[0].name if loud else ""
    return Question(
        f"Delete {_named(vms)}?", tuple(lines), "Delete", typed if len(vms) == 1 else str(len(vms))
    )
