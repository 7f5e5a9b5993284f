"""`direct`: a release below /opt/qarax, beside the one that runs, then one switch of a symbolic link.

    /opt/qarax/releases/0.1.0-<digest>/    a virtual environment, whole when it has `.complete`
    /opt/qarax/current → releases/…        what runs; `previous` is what ran before
    /opt/qarax/{bin,lib,lib64,pyvenv.cfg} → current/…    so that /opt/qarax is the environment the units name
    /opt/qarax/{keeper,node}.started       what each of the two was started from

Nothing that runs is touched before `services` (next step: `services.py`): until then it can be cancelled.
"""

from __future__ import annotations

import posixpath
import re

from qarax_server.control.deployment import common, services
from qarax_server.control.deployment.checks import check
from qarax_server.control.deployment.machine import sha256
from qarax_server.control.deployment.plan import has_certificates
from qarax_server.control.deployment.release import HYPERVISOR, NODE_UNIT, Release, distribution
from qarax_server.control.deployment.steps import Outcome, Run, Step
from qarax_server.errors import HostAccessError

BASE = "/opt/qarax"
RELEASES = f"{BASE}/releases"
PACKAGES = f"{BASE}/packages"
HYPERVISOR_PATH = "/usr/local/bin/cloud-hypervisor"
UNITS = "/etc/systemd/system"
PLACES = {"systemd": UNITS, "modules-load.d": "/etc/modules-load.d", "sysctl.d": "/etc/sysctl.d"}
LINKED = ("bin", "lib", "lib64", "pyvenv.cfg")
INDEX = "the host's package index must be reachable, or put these wheels into deployment.packages_path"


async def bring_packages(run: Run) -> Outcome:
    """The wheels, and the list that pins them, unless the release is installed already."""
    release = run.release
    if await _complete(run):
        return Outcome(f"{_home(release)} is installed", changed=False)
    place, brought = f"{PACKAGES}/{release.name}", 0
    wheels = [release.wheel, *release.wheels_for(run.python_version, run.processor)]
    for wheel in wheels:
        brought += await run.machine.put(wheel, f"{place}/{wheel.name}")
    brought += await run.machine.put(release.requirements, f"{place}/requirements.lock")
    return Outcome(f"{len(wheels)} wheels in {place}", brought > 0)


async def make_environment(run: Run) -> Outcome:
    """A virtual environment of exactly the locked versions; one that was cut off is made anew."""
    release, machine = run.release, run.machine
    home, place = _home(release), f"{PACKAGES}/{release.name}"
    if await _complete(run):
        return Outcome(home, changed=False)
    await machine.run("rm", "-rf", "--", home)
    await machine.run("mkdir", "-p", RELEASES)
    await machine.run(run.python, "-m", "venv", home)
    pip = (f"{home}/bin/python", "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-q")
    brought = {distribution(each) for each in release.wheels_for(run.python_version, run.processor)}
    absent = release.wanted - brought
    index = () if absent else ("--no-index",)
    await machine.run(
        *pip, *index, "-f", place, "--require-hashes", "--no-deps", "--only-binary=:all:",
        f"--requirement={place}/requirements.lock",
        remedy=f"{INDEX}: {', '.join(sorted(absent))}" if absent else "",
    )  # fmt: skip
    await machine.run(*pip, "--no-index", "--no-deps", f"{place}/{release.wheel.name}")
    await machine.run(f"{home}/bin/python", "-c", "import qarax_node.app, qarax_node.keeper")
    await machine.run("touch", f"{home}/.complete")
    await machine.run("rm", "-rf", "--", place)
    return Outcome(home)


async def bring_hypervisor(run: Run) -> Outcome:
    """Cloud Hypervisor, the pinned build and no other. VMs that run keep the one they were started with."""
    digest = run.core.settings.deployment.cloud_hypervisor_sha256
    if await run.machine.has(HYPERVISOR_PATH, digest):
        return Outcome(f"{HYPERVISOR_PATH}, SHA-256 {digest}", changed=False)
    source = run.release.hypervisor
    found = sha256(source) if source.is_file() else "none"
    if found != digest:
        why = "is missing" if found == "none" else f"has the SHA-256 {found}"
        raise HostAccessError(
            f"{source} {why}: put Cloud Hypervisor's {HYPERVISOR} with the SHA-256 {digest} there (v53.0 "
            "from its release page), or name yours in deployment.cloud_hypervisor_sha256"
        )
    await run.machine.put(source, HYPERVISOR_PATH, "0755")
    return Outcome(f"{HYPERVISOR_PATH}, SHA-256 {digest}")


async def put_units(run: Run) -> Outcome:
    """Units, kernel modules and sysctls of the release. Options of the operator's own stay."""
    changed = []
    for name, content in run.release.files.items():
        place = PLACES.get(posixpath.dirname(name))
        base = posixpath.basename(name)
        if place is None or base == "qarax-server.service":
            continue
        body = content
        if base == NODE_UNIT:
            body = node_unit(content, run.host.port, tls=has_certificates(run.core.settings))
        if await run.machine.put(body, f"{place}/{base}"):
            changed.append(f"{place}/{base}")
    if any(UNITS not in each for each in changed):
        # a module that this kernel has built in, or has not, is no reason to stop
        await services.try_restart(run, "systemd-modules-load.service", "systemd-sysctl.service")
    enabled = await services.enable(run)
    return Outcome(", ".join(changed) or "as in the release", bool(changed) or enabled)


def node_unit(content: bytes, port: int, *, tls: bool) -> bytes:
    """The node's unit for a host: its port, and where its certificate is; without one, loopback alone."""
    text = re.sub(rb"--port \d+", b"--port %d" % port, content)
    text = re.sub(rb" --tls-directory \S+", b"", text)
    if not tls:
        return text.replace(b"--host 0.0.0.0", b"--host 127.0.0.1")
    return text.replace(b" --port ", b" --tls-directory %s --port " % common.TLS_DIRECTORY.encode(), 1)


async def switch(run: Run) -> Outcome:
    """The new release becomes the one that is started from now on."""
    release, machine = run.release, run.machine
    current = (await machine.ask("readlink", f"{BASE}/current")).output.strip()
    changed = False
    if current != f"releases/{release.name}":
        if current:
            await _link(run, current, "previous")
        await _link(run, f"releases/{release.name}", "current")
        changed = True
    for name in LINKED:
        if (await machine.ask("readlink", f"{BASE}/{name}")).output.strip() != f"current/{name}":
            await _link(run, f"current/{name}", name)
            changed = True
    was = f", before it {posixpath.basename(current)}" if changed and current else ""
    return Outcome(f"{BASE} is {release.name}{was}", changed)


async def _link(run: Run, target: str, name: str) -> None:
    """Make or change a symbolic link in one moment."""
    await run.machine.run("ln", "-sfn", "--", target, f"{BASE}/{name}.new")
    await run.machine.run("mv", "-fT", "--", f"{BASE}/{name}.new", f"{BASE}/{name}")


async def _complete(run: Run) -> bool:
    return (await run.machine.ask("test", "-f", f"{_home(run.release)}/.complete")).status == 0


def _home(release: Release) -> str:
    return f"{RELEASES}/{release.name}"


STEPS = (
    common.CONNECT,
    Step("check", check),
    Step("packages", bring_packages, "install_seconds"),
    Step("environment", make_environment, "install_seconds"),
    Step("hypervisor", bring_hypervisor, "install_seconds"),
    common.CERTIFICATES,
    Step("units", put_units, cancellable=False),
    Step("switch", switch, cancellable=False),
    Step("keeper", services.start_keeper, cancellable=False),
    Step("node", services.start_node, cancellable=False),
    Step("answer", common.hear_from_node, cancellable=False, remedy=services.LOOK),
)
