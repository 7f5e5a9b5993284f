"""Text from outside and commands: no shell anywhere, and nothing that begins with a dash gets that far."""

from __future__ import annotations

import ast
import dataclasses
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qarax_node.drivers.base import DiskSpec, MachineSpec, NetworkSpec
from qarax_node.drivers.qemu import spec as qemu
from qarax_node.drivers.qemu.probe import Installation
from tests.security.guarded import ROOT, Tokens, bearer
from tests.server.running import ControlPlane, new_vm

pytestmark = pytest.mark.security

PACKAGES = ("qarax_server", "qarax_node", "qarax_tui")
RUNNERS = {"run", "Popen", "call", "check_call", "check_output", "create_subprocess_exec", "execvp", "execv"}
SHELLS = {"system", "popen", "create_subprocess_shell", "getoutput", "getstatusoutput", "spawnl", "spawnlp"}
RUNS_COMMANDS = {
    "qarax_node/drivers/cloud_hypervisor/probe.py",  # cloud-hypervisor --version
    "qarax_node/drivers/qemu/probe.py",  # qemu --version, -machine help
    "qarax_node/keeper/processes.py",  # the VMMs, as the drivers put them together
    "qarax_node/network/taps.py",  # ip
    "qarax_tui/stack/accounts.py",  # useradd
    "qarax_tui/stack/certificates.py",  # qarax-server ca
    "qarax_tui/stack/image.py",  # the guest image's builder
    "qarax_tui/stack/packages.py",  # apt-get
    "qarax_tui/stack/postgres.py",  # initdb
    "qarax_tui/stack/processes.py",  # the programs of the control plane
}
"""Whoever adds one says here what it runs, and tries it below."""

OPTIONS = (
    *("-x", "--help", "-oProxyCommand=id", "--daemonize", "-incoming exec:id", "-chardev,path=/x", "--"),
    *(
        "a,guest=b",
        "a b",
        "a;id",
        "$(id)",
        "`id`",
        "a|id",
        "a&id",
        "a>b",
        "../a",
        "/etc/passwd",
        "a\nb",
        "a\tb",
    ),
    *("a\0b", "%s%n", "*", "?", "~root", "=x", "@x", "x" * 300),
)


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """(name, call) of each call of a function that could start something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            owner = function.value if isinstance(function, ast.Attribute) else None
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            of = owner.id if isinstance(owner, ast.Name) else ""
            if (of in {"subprocess", "os", "asyncio"} and name in RUNNERS | SHELLS) or name in SHELLS:
                yield f"{of}.{name}", node


def test_no_shell_anywhere_and_every_command_is_known(sizes: dict[str, int]) -> None:
    found: set[str] = set()
    count = 0
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for name, call in calls(ast.parse(path.read_text(encoding="utf-8"))):
                if name == "asyncio.run":
                    continue
                count += 1
                place = str(path.relative_to(ROOT))
                assert name.partition(".")[2] not in SHELLS, f"{place}:{call.lineno}"
                assert not [each for each in call.keywords if each.arg == "shell"], f"{place}:{call.lineno}"
                found.add(place)
    assert found == RUNS_COMMANDS
    sizes["places that start a program"] = count


def bodies(text: str) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """(field, method, path, body) for each field of a request that could reach a command."""
    host = {"name": "h", "address": "127.0.0.1", "port": 1, "host_user": "root"}
    for field in ("name", "address", "host_user"):
        yield field, "POST", "/hosts", host | {field: text}
    for field in ("id", "tap", "mac", "ip", "mask", "host_mac", "parent"):
        yield f"networks.0.{field}", "POST", "/vms", new_vm("a", networks=[{"id": "lan", field: text}])
    for field in ("hypervisor", "driver"):
        yield field, "POST", "/vms", new_vm("a", **{field: text})
    nobody = "00000000-0000-4000-8000-000000000000"
    disk = {"storage_object_id": nobody, "image_type": text}
    yield "disks.0.image_type", "POST", "/vms", new_vm("a", disks=[disk])
    for field in ("mode", "image_version"):
        yield field, "POST", f"/hosts/{nobody}/deploy", {field: text}


async def test_no_field_that_reaches_a_command_takes_an_option(
    plane: ControlPlane, tokens: Tokens, sizes: dict[str, int]
) -> None:
    plane.session.headers.update(bearer(tokens.admin))
    tried = 0
    for text in OPTIONS:
        for field, method, path, body in bodies(text):
            status, answer, _ = await plane.request(method, path, body)
            assert status == 422, (field, text, status, answer)
            assert any(name.startswith(field.partition(".0")[0]) for name in answer["errors"]), (text, answer)
            tried += 1
    assert await plane.ok("GET", "/hosts") == await plane.ok("GET", "/vms") == []
    sizes["strings tried as options"] = tried


@pytest.mark.parametrize("text", [each for each in OPTIONS if "\0" not in each])
def test_what_a_vm_carries_is_never_an_option_of_its_hypervisor(text: str, tmp_path: Path) -> None:
    """Were each field of a spec hostile: it is inside JSON, or the value of the option before it."""
    disk = DiskSpec(text, Path("/pool") / text.lstrip("/"), readonly=False, image_type="raw")
    network = NetworkSpec(text, "tap", tap=text, mac=text)
    made = MachineSpec(
        vm_id="3f6c6f2e-4d2a-4f0e-9d5f-0a3b5c7d9e11",
        name=text,
        directory=tmp_path,
        boot_vcpus=1,
        max_vcpus=1,
        memory_size=1 << 28,
        kernel=Path("/pool") / text.lstrip("/"),
        cmdline=text,
        disks=(disk,),
        networks=(network,),
    )
    plain = dataclasses.replace(made, name="a", cmdline="a", kernel=Path("/k"), disks=(), networks=())
    here = Installation("/usr/bin/qemu-system-x86_64", "7.2.22", "tcg")
    options = {each for each in qemu.command_line(plain, here) if each.startswith("-")}
    argv = qemu.command_line(made, here)
    values = {"-append", "-kernel", "-name"}
    for before, each in itertools.pairwise(argv):
        if each.startswith("{"):
            json.loads(each)
        elif each.startswith("-") and before not in values:
            assert each in options | {"-blockdev", "-netdev"}, (before, each)
    name = argv[argv.index("-name") + 1]
    assert name.replace(",,", "").count(",") == 1, "one option of -name, and that is ours"
