"""The steps that both ways of deploying take: log in, bring certificates, wait for the node."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

from qarax_server.certificates import Authority, folders
from qarax_server.control.deployment.machine import CommandError, Machine, sha256
from qarax_server.control.deployment.plan import has_certificates
from qarax_server.control.deployment.steps import Outcome, Run, Step
from qarax_server.database import Event
from qarax_server.errors import HostAccessError, QaraxError, SettingsError
from qarax_server.nodes import addresses
from qarax_server.observed import NodeFacts
from qarax_server.ssh import keys
from qarax_server.ssh.session import Login, Session, connected
from qarax_server.store import deployments, hosts

TLS_DIRECTORY = "/etc/qarax/tls"
LOOK_SECONDS = 0.5
DESCRIBE_SECONDS = 3.0
HEAR_SECONDS = 10.0
SUDO = (
    "let the user become root without a password, or deploy as root: "
    "echo '{user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/qarax"
)


async def connect(run: Run) -> Outcome:
    """Log in to the machine that is known, or to the one that is met for the first time."""
    address = await _address(run)
    pinned = run.host.ssh_host_key
    key = pinned or await _meet(run, address)
    run.report.host_key = f"{keys.fingerprint(key)} ({key.split()[0]})"
    user, settings = run.host.host_user, run.core.settings.deployment
    login = Login(address, run.plan.ssh_port, user, key, settings.ssh_key_path, run.plan.password)
    session = await run.stack.enter_async_context(connected(login))
    run.host = dataclasses.replace(run.host, ssh_host_key=key)
    run.connected = await _as_root(run, session)
    known = "as known" if pinned else "met for the first time and kept"
    detail = f"{user} at {address} port {run.plan.ssh_port}; host key {run.report.host_key}, {known}"
    return Outcome(detail, changed=not pinned)


async def _address(run: Run) -> str:
    """Where the host is now, if this server may dial it."""
    name, allowed = run.host.address, run.core.settings.application.allowed_networks
    try:
        found = await addresses.resolve(name)
    except addresses.Unresolved as error:
        raise HostAccessError(str(error)) from error
    for each in found:
        addresses.check(name, each, allowed, loopback_only=False)
    return str(await addresses.first_that_answers(found, run.plan.ssh_port))


async def _meet(run: Run, address: str) -> str:
    key = await keys.fetch_host_key(address, run.plan.ssh_port, DESCRIBE_SECONDS * 3)
    host = run.host
    async with run.core.database.transaction() as tx:
        before = await tx.snapshot("host", host.id)
        await deployments.pin_ssh_host_key(tx, host.id, key)
        message = f"host {host.name} showed the SSH host key {keys.fingerprint(key)} for the first time"
        tx.record(Event("deploy", "host", host.id, host.name, message, before=before))
    return key


async def _as_root(run: Run, session: Session) -> Machine:
    plain = Machine(session, run.report, sudo=False)
    if (await plain.ask("id", "-u")).output.strip() == "0":
        return plain
    machine = Machine(session, run.report, sudo=True)
    await machine.run("true", remedy=SUDO.format(user=run.host.host_user))
    return machine


async def bring_certificates(run: Run) -> Outcome:
    """The node's certificate of this control plane's CA, unless the one that is there is good for long."""
    if not has_certificates(run.core.settings):
        return Outcome("none: on this machine server and node speak plain text", changed=False)
    authority = _authority(run)
    if authority is None:
        return await _expect_certificate(run)
    folder = Path(run.core.settings.node_tls.directory) / folders.HOSTS / run.host.name
    issued = authority.issue_for_host(run.host.id, run.host.name, run.host.address)
    until = folders.ensure(folder, authority, issued) or issued.expires_at
    await run.machine.run("install", "-d", "-m", "0700", TLS_DIRECTORY)
    changed = False
    for name in ("ca.pem", "certificate.pem", "key.pem"):
        changed |= await run.machine.put(folder / name, f"{TLS_DIRECTORY}/{name}", "0600")
    run.certificate, run.certificate_is_new = sha256(folder / "certificate.pem"), changed
    return Outcome(f"{TLS_DIRECTORY}, valid until {until:%Y-%m-%d}", changed)


def _authority(run: Run) -> Authority | None:
    """The CA, when this server has its key."""
    directory = run.core.settings.node_tls.directory
    if not directory or not (Path(directory) / "ca.key").exists():
        return None
    try:
        return Authority.load(Path(directory))
    except SettingsError as error:
        raise HostAccessError(error.message) from error


async def _expect_certificate(run: Run) -> Outcome:
    """Without the CA's key nothing can be issued here: what is there will do."""
    path = f"{TLS_DIRECTORY}/certificate.pem"
    ended = await run.machine.ask("sha256sum", "--", path)
    if ended.status != 0:
        remedy = "issue it where ca.key is, and copy it: qarax-server ca issue HOST"
        raise CommandError(f"sha256sum -- {path}", ended, remedy)
    run.certificate = ended.output.split()[0]
    return Outcome(f"{path} was brought by an operator: this server has no ca.key", changed=False)


async def expect_node(run: Run) -> None:
    """From here on the host is `initializing`."""
    async with run.core.database.transaction() as tx:
        before = await tx.snapshot("host", run.host.id)
        await deployments.expect_node(tx, run.host.id)
        message = f"host {run.host.name} is installed; its node is awaited"
        tx.record(Event("deploy", "host", run.host.id, run.host.name, message, before=before))


async def hear_from_node(run: Run) -> Outcome:
    """Wait until the node answers with the version, and after the boot, that were asked for."""
    await expect_node(run)
    facts = await _wait_for_node(run)
    await run.ask_node(run.host.id, HEAR_SECONDS)
    async with run.core.database.connection() as c:
        host = await hosts.get_host(c, run.host.id)
    if not host.reachable:
        raise HostAccessError(host.status_reason or "its node answers, and is not admitted")
    return Outcome(f"qarax-node {facts.version} answers at {host.address}:{host.port}", changed=False)


async def _wait_for_node(run: Run) -> NodeFacts:
    said = ""
    while True:
        try:
            facts = await run.core.nodes.of(run.host).describe(DESCRIBE_SECONDS)
            missing = _not_yet(run, facts)
        except QaraxError as error:
            missing = error.message
        else:
            if not missing:
                return facts
        if missing != said:
            run.report.say(f"  not yet: {missing}")
        said = missing
        await asyncio.sleep(LOOK_SECONDS)


def _not_yet(run: Run, facts: NodeFacts) -> str:
    if run.boot_id and facts.boot_id == run.boot_id:
        return "the machine has not been rebooted yet"
    if run.plan.version and facts.version != run.plan.version:
        return f"version {facts.version} answers, {run.plan.version} is awaited"
    return ""


CONNECT = Step("connect", connect)
CERTIFICATES = Step("certificates", bring_certificates)
