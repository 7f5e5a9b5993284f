"""`qarax up`: starts what is missing, in order, and undoes its own part when it cannot finish."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from qarax_tui.client.api import Api
from qarax_tui.client.errors import ClientError, ServerAway
from qarax_tui.client.settings import load_settings
from qarax_tui.stack import certificates, hypervisor, ports, processes, seed, services, simulated
from qarax_tui.stack import image as guest_image
from qarax_tui.stack import postgres as database
from qarax_tui.stack.accounts import database_account
from qarax_tui.stack.choices import NODE_PORT, SERVER_PORT, SIMULATED_PORT
from qarax_tui.stack.errors import StackError
from qarax_tui.stack.state import StateDirectory, default_path

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What `qarax up` was asked for; a port of None is the default, or the one already in use."""

    state_dir: Path = field(default_factory=default_path)
    port: int | None = None
    node_port: int | None = None
    driver: str = "auto"
    simulated_hosts: int = 0
    simulated_vms: int = 0
    simulated_port: int = SIMULATED_PORT
    install: bool = True


@dataclass(frozen=True)
class Outcome:
    """What runs now: `facts` is `control-plane.json`, `started` the names of what this call started."""

    facts: dict[str, Any]
    started: list[str]


def up(options: Options, say: Say) -> Outcome:
    """Bring the control plane up; returns when it is ready.

    Raises:
        StackError: with what to do; whatever this call had started is stopped again.
    """
    state = StateDirectory(options.state_dir.absolute())
    state.prepare()
    with state.locked():
        attempt = _Attempt(state, options, say)
        try:
            facts = attempt.run()
        except ClientError as error:
            attempt.undo()
            away = isinstance(error, ServerAway)
            what = "The server went away meanwhile" if away else "The control plane answered, and refused"
            raise StackError(f"{what}: {error.sentence} {error.fix}".strip()) from error
        except BaseException:
            attempt.undo()
            raise
    return Outcome(facts, [record.name for record in attempt.started])


class _Attempt:
    """One run of `up` and what it started."""

    def __init__(self, state: StateDirectory, options: Options, say: Say) -> None:
        self.state, self.options, self.say = state, options, say
        self.started: list[processes.ProcessRecord] = []
        self.facts = state.read_facts()

    def run(self) -> dict[str, Any]:
        """Everything that can be refused is checked before anything is started."""
        known, node_known = self._known_ports()
        port = self._port(services.SERVER, self.options.port, known, "--port", "the REST API")
        node_port = self._port(services.NODE, self.options.node_port, node_known, "--node-port", "the node")
        self._check_simulated_ports()
        choice = None if self.state.record(services.NODE) else self._prepare_driver()
        self._start_postgres()
        self._start_keeper()
        self._start_server(port)
        url = f"http://127.0.0.1:{port}"
        asyncio.run(self._register(url, node_port))
        if choice:
            tls = self._certificates("hosts", [seed.HOST])
            node = services.node(self.state, node_port, choice.arguments, tls and tls / seed.HOST)
            self._start(node)
            self.facts |= {"driver": choice.driver, "stand_in": choice.stand_in, "reason": choice.reason}
        self._start_simulated()
        self.facts |= {
            "server_url": url,
            "swagger_url": f"{url}/swagger-ui",
            "node_address": f"127.0.0.1:{node_port}",
            "state_dir": str(self.state.path),
        }
        asyncio.run(self._fill(url, node_port))
        self.state.write_facts(self.facts)
        return self.facts

    def undo(self) -> None:
        """Stop what this call started, last first."""
        if self.started:
            self.say("stopping what was started")
        for record in reversed(self.started):
            signals = database.FAST_THEN_FORCED if record.name == database.NAME else None
            processes.stop(record, signals=signals)
            self.state.drop(record.name)
        self.started.clear()

    def _known_ports(self) -> tuple[int, int]:
        """Where server and node were the last time: dashboards and the host's record still point there."""
        url = urlsplit(self.facts.get("server_url", ""))
        node = urlsplit("//" + self.facts.get("node_address", ""))
        return url.port or SERVER_PORT, node.port or NODE_PORT

    def _port(self, name: str, wanted: int | None, default: int, option: str, purpose: str) -> int:
        running = self.state.record(name)
        if running is None:
            ports.require_free(wanted or default, purpose=purpose, option=option)
            return wanted or default
        if running.port is None or wanted not in (None, running.port):
            raise StackError(
                f"{purpose.capitalize()} already runs on port {running.port}. To move it: "
                f"qarax down --state-dir {self.state.path}, then qarax up {option} {wanted}"
            )
        return running.port

    def _check_simulated_ports(self) -> None:
        if self.options.simulated_hosts and not self.state.record(services.SIMULATED):
            first = self.options.simulated_port
            for port in (first, first + self.options.simulated_hosts - 1):
                ports.require_free(port, purpose="simulated hosts", option="--simulated-port")

    def _prepare_driver(self) -> hypervisor.Choice:
        choice = hypervisor.choose(
            self.options.driver, binaries=self.state.path / "bin", install=self.options.install, say=self.say
        )
        self.say(choice.reason)
        if choice.driver == "simulated":
            guest_image.ensure_placeholders(self.state.images)
        else:
            guest_image.ensure_image(self.state.images, install=self.options.install, say=self.say)
        return choice

    def _start_postgres(self) -> None:
        if external := os.environ.get(services.EXTERNAL_DATABASE):
            self.say(f"using the PostgreSQL of {services.EXTERNAL_DATABASE}={external}")
            return
        if self.state.record(database.NAME):
            return
        data = self.state.postgres / "data"
        server = database.Postgres(self.state.postgres, self.state.log(database.NAME), database_account(data))
        if pid := server.running_pid():
            record = processes.identified(database.NAME, pid, log=server.log)
        else:
            self.say("starting postgres" if data.exists() else "making a PostgreSQL database")
            server.prepare()
            record = server.start()
            self.started.append(record)
        if record is not None:
            self.state.keep(record)
        server.ensure_database()

    def _start_keeper(self) -> None:
        self._start(services.keeper(self.state))

    def _start_server(self, port: int) -> None:
        """A server that runs already, from before there were certificates, goes on in plain text."""
        if self.state.record(services.SERVER) is None:
            certificates.ensure_authority(self.state)
            self.facts["tls"] = True
        self._start(services.server(self.state, port, self.state.tls))

    def _certificates(self, folder: str, hosts: list[str]) -> Path | None:
        """A certificate for each of these hosts, a folder each; None while the server speaks plain text."""
        if not self.facts.get("tls"):
            return None
        output = self.state.tls / folder
        certificates.issue(self.state, hosts, output, services.database_environment(self.state))
        return output

    def _start_simulated(self) -> None:
        """The simulated hosts that are asked for, or that were there before."""
        if hosts := self.options.simulated_hosts:
            self.facts["simulated"] = {"port": self.options.simulated_port, "hosts": hosts}
        known = self.facts.get("simulated")
        if known and self.state.record(services.SIMULATED) is None:
            names = [simulated.host_name(number) for number in range(known["hosts"])]
            tls = self._certificates("simulated", names)
            self._start(services.simulated(self.state, known["port"], known["hosts"], tls))

    def _start(self, service: services.Service) -> None:
        if self.state.record(service.name):
            return
        self.say(f"starting {service.name}" + (f" on port {service.port}" if service.port else ""))
        record = processes.start_detached(
            service.name,
            service.command,
            log=self.state.log(service.name),
            cwd=self.state.path,
            port=service.port,
            environment={**os.environ, **service.environment},
        )
        self.started.append(record)
        self.state.keep(record)
        processes.wait_until(service.ready, seconds=service.seconds, record=record)

    async def _register(self, url: str, node_port: int) -> None:
        """What certificates are made for: the hosts of this machine."""
        async with Api(url, load_settings(url).token) as api:
            await seed.register_host(api, seed.HOST, node_port)
            if hosts := self.options.simulated_hosts:
                first = self.options.simulated_port
                await simulated.register(api, first_port=first, hosts=hosts, say=self.say)

    async def _fill(self, url: str, node_port: int) -> None:
        async with Api(url, load_settings(url).token) as api:
            await seed.seed(api, images=self.state.images, node_port=node_port, say=self.say)
            if hosts := self.options.simulated_hosts:
                first, vms = self.options.simulated_port, self.options.simulated_vms
                await simulated.fill(api, first_port=first, hosts=hosts, vms=vms, say=self.say)
