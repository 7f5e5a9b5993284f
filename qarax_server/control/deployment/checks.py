"""Whether a machine can be a host at all: asked before anything is changed there."""

from __future__ import annotations

import re

from qarax_server.control.deployment.machine import CommandError, Machine
from qarax_server.control.deployment.steps import Outcome, Run
from qarax_server.errors import HostAccessError
from qarax_server.ssh.session import Ended

OLDEST_PYTHON = (3, 11)
PYTHONS = ("python3", "python3.14", "python3.13", "python3.12", "python3.11")
ASK_PYTHON = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
NEEDED_BYTES = 1 << 30
PROCESSORS = ("x86_64",)
VIRTUALISATION = re.compile(r"\b(vmx|svm)\b")


async def check(run: Run) -> Outcome:
    """Linux, systemd, KVM, room on the disk and a Python with venv.

    Raises:
        HostAccessError: one of them is missing; the sentence says which, and what to do.
    """
    machine = run.machine
    system, run.processor = await _system(machine)
    await _systemd(machine)
    kvm = await _kvm(machine, force=run.plan.force)
    room = await _room(machine)
    run.python, run.python_version = await _python(machine)
    detail = f"{system} {run.processor}, Python {run.python_version}, {kvm}, {room >> 30} GiB free in /opt"
    return Outcome(detail, changed=False)


async def _system(machine: Machine) -> tuple[str, str]:
    words = (await machine.run("uname", "-s", "-m")).split()
    if len(words) != 2 or words[0] != "Linux" or words[1] not in PROCESSORS:  # noqa: PLR2004 - system, processor
        found = " ".join(words)
        raise HostAccessError(f"it is {found}: a host is Linux on {' or '.join(PROCESSORS)}")
    return words[0], words[1]


async def _systemd(machine: Machine) -> None:
    ended = await machine.ask("test", "-d", "/run/systemd/system")
    if ended.status != 0:
        raise CommandError("test -d /run/systemd/system", ended, "boot the machine with systemd")


async def _kvm(machine: Machine, *, force: bool) -> str:
    device = await machine.ask("test", "-c", "/dev/kvm")
    processor = await machine.ask("cat", "/proc/cpuinfo")
    if device.status == 0 and VIRTUALISATION.search(processor.output):
        return "KVM"
    why = "/dev/kvm is missing" if device.status else "the processor shows neither vmx nor svm"
    if force:
        machine.say(f"  {why}; going on because of force")
        return f"no KVM ({why})"
    remedy = "switch virtualisation on in the firmware or the outer hypervisor, or deploy with force"
    raise CommandError("test -c /dev/kvm", Ended(1, f"{why}: VMs cannot run there"), remedy)


async def _room(machine: Machine) -> int:
    output = await machine.run("df", "--output=avail", "-B1", "/opt")
    free = int(output.split()[-1]) if output.split()[-1:] and output.split()[-1].isdigit() else 0
    if free < NEEDED_BYTES:
        raise HostAccessError(
            f"/opt has {free >> 20} MiB free, {NEEDED_BYTES >> 20} MiB are needed: make room"
        )
    return free


async def _python(machine: Machine) -> tuple[str, str]:
    """The first Python that is new enough and can make environments."""
    seen = []
    for name in PYTHONS:
        ended = await machine.ask(name, "-c", ASK_PYTHON)
        if ended.status == 0 and re.fullmatch(r"3\.\d+", ended.output.strip()):
            version = ended.output.strip()
            if int(version[2:]) >= OLDEST_PYTHON[1]:
                return name, version
            seen.append(f"{name} is {version}")
        elif "ensurepip" in ended.output or "venv" in ended.output:
            seen.append(f"{name} has no venv")
    found = "; ".join(seen) or "none was found"
    raise HostAccessError(
        f"Python 3.11 or newer with venv is needed ({found}): install it, on Debian 12 and later with "
        "`apt install python3-venv`"
    )
