"""What can be done to hosts, the same in the list and in the details."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from qarax_tui.client.records import Host
from qarax_tui.screens import host_forms
from qarax_tui.screens.confirm import Question
from qarax_tui.screens.format import count
from qarax_tui.screens.jobs import Job
from qarax_tui.screens.view import View


class HostVerbs(View):
    """A view whose `hosts()` are what the verbs take; forms take the one under the cursor."""

    def hosts(self) -> list[Host]:
        raise NotImplementedError

    def host_here(self) -> list[Host]:
        found = self.subject()
        return [found[1]] if found else []

    def cannot(self, action_id: str) -> str:
        hosts = self.hosts()
        if action_id in {"up", "down"} and hosts and all(host.status == action_id for host in hosts):
            return f"{_named(hosts)} {'is' if len(hosts) == 1 else 'are'} {action_id} already."
        return ""

    def do_open_host(self) -> None:
        for host in self.host_here():
            self.main.go_filtered("vms", f"host={host.name}$")

    def do_up(self) -> None:
        self._set_status("Take up", "up", self.hosts())

    def do_down(self) -> None:
        hosts = self.hosts()
        lines = ("No VM will be placed there any more. VMs that run there go on.",)
        self._ask(Question(f"Take {_named(hosts)} down?", lines, "Take down"), hosts, self._take_down)

    def _take_down(self, hosts: Sequence[Host]) -> None:
        self._set_status("Take down", "down", hosts)

    def _set_status(self, title: str, status: str, hosts: Sequence[Host]) -> None:
        api = self.session.api
        self._run(title, hosts, lambda host_id: api.update_host(host_id, {"status": status}))

    def do_forget(self) -> None:
        hosts = self.hosts()
        lines = ("The host is forgotten here; nothing on it is touched. A host with VMs is refused.",)
        typed = "" if len(hosts) == 1 else str(len(hosts))
        question = Question(f"Delete {_named(hosts)}?", lines, "Delete", typed)
        self._ask(question, hosts, lambda those: self._run("Delete", those, self.session.api.delete_host))

    def do_deploy(self) -> None:
        for host in self.host_here():
            self.app.push_screen(host_forms.deploy(self.session, host), self._deployed)

    def _deployed(self, host_id: str | None) -> None:
        if host_id:
            self.show_host(host_id)

    def show_host(self, host_id: str) -> None:
        """Open a host's details, where the steps of its deployment are, unless they are open."""

    def do_edit_host(self) -> None:
        for host in self.host_here():
            self.app.push_screen(host_forms.edit(self.session, host))

    def _ask(self, question: Question, hosts: list[Host], then: Callable[[list[Host]], None]) -> None:
        if hosts:
            self.confirm(question, lambda: then([host for host in hosts if host.id in self.fleet.hosts]))

    def _run(self, title: str, hosts: Sequence[Host], send: Callable[[str], Awaitable[object]]) -> None:
        if hosts:
            jobs = [Job(host.name, partial(send, host.id)) for host in hosts]
            self.main.run_jobs(f"{title} {_named(hosts)}", jobs)


def _named(hosts: Sequence[Host]) -> str:
    return hosts[0].name if len(hosts) == 1 else count(len(hosts), "host")
