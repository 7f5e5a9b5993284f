"""What `deployments/` ships, held against the tools that read it and against the program itself."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qarax_node import settings as node_settings
from qarax_server import packaged, settings

UNITS = ("qarax-keeper.service", "qarax-node.service", "qarax-server.service")
HIGHEST_EXPOSURE = {"qarax-keeper.service": 38, "qarax-node.service": 40, "qarax-server.service": 16}
"""Tenths of what `systemd-analyze security` of systemd 252 says: 0 is closed, 100 is wide open."""
DEPLOYMENTS = packaged.directory("deployments")
ROOT = DEPLOYMENTS.parent
CONTAINERFILES = ("Containerfile", "Containerfile.qarax-vmm")


def tool(name: str) -> str:
    """Where a program is; skips where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def said(*command: str | Path) -> str:
    """Run a check that must succeed, and return what it says."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with this environment in the place of those below /opt."""
    for name in UNITS:
        text = re.sub(r"/opt/qarax(-server)?/", f"{sys.prefix}/", packaged.unit(name).read_text())
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_wrong_with_a_unit(units: Path, name: str) -> None:
    assert name not in said(tool("systemd-analyze"), "verify", units / name)


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_stays_as_closed_as_it_was(units: Path, name: str) -> None:
    threshold = f"--threshold={HIGHEST_EXPOSURE[name]}"
    said(tool("systemd-analyze"), "security", "--offline=yes", threshold, "--no-pager", units / name)


def test_the_units_deny_nothing_that_was_seen_to_be_needed() -> None:
    keeper, node = (packaged.unit(name).read_text() for name in UNITS[:2])
    filters = re.findall(r"^SystemCallFilter=(.*)", keeper + node, re.MULTILINE)
    wanted = "@system-service seccomp landlock_create_ruleset"
    assert all(each.startswith(wanted) for each in filters), "hypervisors confine themselves"
    assert "landlock_restrict_self" in filters[0]
    assert "\nRestrictSUIDSGID=yes" not in node, "it takes openat2 away"
    assert not re.search(r"^(ProtectHome|PrivateTmp|MemoryDenyWriteExecute)=", keeper + node, re.MULTILINE)
    caps = [
        set(found.split())
        for found in re.findall(r"^CapabilityBoundingSet=(.*)", keeper + node, re.MULTILINE)
    ]
    assert caps[0] <= caps[1], "the node looks at VMMs in /proc"


def test_the_nodes_unit_says_what_the_node_takes() -> None:
    command = re.search(r"^ExecStart=\S+ (.*)", packaged.unit("qarax-node.service").read_text(), re.MULTILINE)
    assert command is not None
    *options, more = command[1].split()
    assert more == "$QARAX_NODE_OPTIONS"
    assert node_settings.parse(options).tls_directory == Path("/etc/qarax/tls")


@pytest.mark.parametrize("name", UNITS)
def test_what_waits_for_a_watchdog_is_told_so(name: str) -> None:
    unit = packaged.unit(name).read_text()
    assert ("WatchdogSec=" in unit) == ("Type=notify" in unit) == (name != "qarax-keeper.service")


def test_the_compose_file_is_one() -> None:
    compose = shutil.which("docker-compose")
    command = [compose] if compose else [tool("docker"), "compose"]
    if not compose and subprocess.run([*command, "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker has no compose here")
    assert "qarax-node" in said(*command, "-f", DEPLOYMENTS / "compose.yaml", "config")


def instructions(name: str) -> list[tuple[str, str]]:
    """A Containerfile's instructions, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (DEPLOYMENTS / name).read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line.strip())]


@pytest.mark.parametrize("name", CONTAINERFILES)
def test_a_containerfile_copies_what_is_there_and_runs_what_a_shell_can_read(name: str) -> None:
    found = instructions(name)
    assert {word for word, _ in found} <= {"ARG", "FROM", "RUN", "COPY", "ENV", "LABEL", "CMD"}
    for word, rest in found:
        if word == "RUN":
            said("sh", "-n", "-c", rest)
        if word == "COPY" and not rest.startswith("--from="):
            for source in rest.split()[:-1]:
                assert source.startswith("dist/") or (ROOT / source).exists(), source


def test_the_pinned_hypervisor_is_the_same_everywhere() -> None:
    texts = [rest for word, rest in instructions("Containerfile.qarax-vmm") if word == "ARG"]
    assert f"CLOUD_HYPERVISOR_SHA256={settings.CLOUD_HYPERVISOR_SHA256}" in texts
    assert any("/v53.0/cloud-hypervisor-static" in text for text in texts)
