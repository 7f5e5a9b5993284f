"""The VMs of one keeper: each with its VMM process and its serial console, driven by one selector."""

from __future__ import annotations

import os
import selectors
from collections.abc import Callable
from typing import Any

from qarax_node.keeper import processes
from qarax_node.keeper.consoles import Consoles

Answer = Callable[[Any], None]
Ended = tuple[str, int, int | None]


class RefusedError(Exception):
    """A request that cannot be done: the sentence and its stable code."""

    def __init__(self, sentence: str, code: str) -> None:
        super().__init__(sentence)
        self.code = code


class Vms:
    """Every VMM here; `push` tells the subscribers."""

    def __init__(
        self,
        runtime_dir: str,
        consoles: Consoles,
        selector: selectors.BaseSelector,
        push: Callable[[dict[str, Any]], None],
    ) -> None:
        self.records = processes.Records(runtime_dir)
        self._boot_id = processes.boot_id()
        self.running: dict[str, processes.Vmm] = {}
        self._consoles = consoles
        self._selector = selector
        self._push = push
        self._children: dict[int, str] = {}
        self._executing: dict[str, tuple[int, Answer]] = {}

    def take_up(self) -> None:
        """Watch the VMMs that an earlier keeper started; those that are gone ended unseen."""
        gone: list[Ended] = []
        told = {(ended["vm"], ended["pid"]) for ended in self.records.exits(0)}
        for vmm in self.records.load():
            vm, pid = vmm.vm, vmm.pid
            if self._watch(vmm):
                self.running[vm] = vmm
                if vmm.socket:
                    self._consoles.take_up(vm, vmm.socket)
            elif (vm, pid) in told:
                self.records.drop(vm)  # all that the earlier keeper had not come to
            else:
                self.running[vm] = vmm
                gone.append((vm, pid, None))
        self._ended(gone)

    def _watch(self, vmm: processes.Vmm) -> bool:
        """Wait by pidfd for a process that is not our child; False when it is gone."""
        try:
            descriptor = os.pidfd_open(vmm.pid)
        except ProcessLookupError:
            return False
        same = processes.start_time(vmm.pid) == vmm.start_time
        if vmm.boot_id != self._boot_id or not same:
            os.close(descriptor)
            return False

        def ended(_: int) -> None:
            self._selector.unregister(descriptor)
            os.close(descriptor)
            self._ended([(vmm.vm, vmm.pid, None)])

        self._selector.register(descriptor, selectors.EVENT_READ, ended)
        return True

    def spawn(self, vm: str, fields: dict[str, Any], fds: list[int], answer: Answer) -> None:
        """Start a VMM; `answer` gets its identity, or a RefusedError, once it has executed."""
        if vm in self.running:
            self.reap()  # it may have ended a moment ago, seen by the node before this loop came to it
        if vm in self.running:
            raise RefusedError(f"VM {vm} has a VMM already, pid {self.running[vm].pid}", "running")
        pid, go, told = processes.spawn(fields["argv"], fields["cwd"], fields["log"], fds)
        self._children[pid] = vm
        vmm = processes.Vmm(vm, pid, processes.start_time(pid), self._boot_id)
        try:
            self.records.save(vmm)
            os.write(go, b"x")
        except OSError as error:
            os.close(told)
            raise RefusedError(f"no VMM without its record on disk: {error}", "spawn_failed") from error
        finally:
            os.close(go)
        self.running[vm] = vmm
        self._executing[vm] = told, answer
        self._selector.register(told, selectors.EVENT_READ, lambda _: self._executed(vm))

    def _executed(self, vm: str) -> None:
        """The exec's outcome is there: nothing at all when it worked."""
        told, answer = self._executing.pop(vm)
        self._selector.unregister(told)
        failure = os.read(told, 1000).decode(errors="replace")
        os.close(told)
        vmm = self.running[vm]
        if failure:
            self._children.pop(vmm.pid, None)
            del self.running[vm]
            self.records.drop(vm)
            answer(RefusedError(f"the VMM could not be executed: {failure}", "spawn_failed"))
        else:
            answer(vmm.identity)

    def reap(self) -> None:
        """Collect every child that has ended."""
        ended: list[Ended] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            vm = self._children.get(pid)
            if vm in self._executing and self.running[vm].pid == pid:
                self._executed(vm)
            if self._children.pop(pid, None) is not None and vm in self.running:
                ended.append((str(vm), pid, status))
        self._ended(ended)

    def _ended(self, ended: list[Ended]) -> None:
        if not ended:
            return
        for vm, pid, status in ended:
            del self.running[vm]
            self._consoles.vmm_ended(vm, f"pid {pid} ended, {_words(status)}")
        for record in self.records.ended(ended):
            self._push({"exit": record})

    def attach(self, vm: str, path: str, kind: str, answer: Answer) -> None:
        """Have the VM's serial socket drained; `answer` once it is."""
        vmm = self.running.get(vm)
        if vmm is None:
            raise RefusedError(f"VM {vm} has no VMM whose console could be attached", "no_console")
        if vmm.socket != path:
            self.records.add(vm, {"socket": path})
            vmm.socket = path
        self._consoles.attach(vmm.vm, vmm.socket, kind, answer)

    def describe(self) -> list[dict[str, Any]]:
        """Every VM known, for `list`."""
        none = processes.Vmm("", 0, 0, "")
        return [
            {
                **self.running.get(vm, none).identity,
                "vm": vm,
                "running": vm in self.running,
                **self._consoles.describe(vm),
            }
            for vm in sorted(self.running.keys() | self._consoles.known())
        ]


def _words(status: int | None) -> str:
    if status is None:
        return "nobody saw how"
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"exit status {os.WEXITSTATUS(status)}"
