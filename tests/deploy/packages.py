"""The directory that direct deployments bring things from: two versions of this tree, and a hypervisor.

The wheels are built from a copy of the tree, so that nobody who runs from it sees its stubs being rewritten.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.machine import REPOSITORY, SYSTEM_PATH

PARTS = (
    *("qarax_node", "qarax_server", "qarax_tui", "proto", "sql", "configuration", "deployments", "hack"),
    *("pyproject.toml", "README.md", "LICENSE"),
)
NEWER = "9.9.9"
HYPERVISOR = f'#!/bin/sh\nexec {REPOSITORY}/tests/fakes/cloud-hypervisor "$@"\n'


@dataclass(frozen=True)
class Packages:
    """The directory, and what its hypervisor is known by."""

    directory: Path
    hypervisor: str
    newer: str = NEWER


def build_packages(directory: Path) -> Packages:
    """Fill a directory; downloads what the agent needs, by hash, as an operator does."""
    tree, wheels = directory / "tree", directory / "packages"
    tree.mkdir(parents=True)
    for each in PARTS:
        source = REPOSITORY / each
        if source.is_dir():
            shutil.copytree(source, tree / each, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree / each)
    _build(tree, wheels)
    project = tree / "pyproject.toml"
    text = project.read_text()
    version = next(line for line in text.splitlines() if line.startswith("version = "))
    project.write_text(text.replace(version, f'version = "{NEWER}"'))
    keeper = tree / "qarax_node" / "keeper" / "__init__.py"
    keeper.write_text(keeper.read_text() + "\n# newer\n")
    _build(tree, wheels)
    _download(tree / "deployments" / "node-requirements.lock", wheels)
    hypervisor = wheels / "cloud-hypervisor-static"
    hypervisor.write_text(HYPERVISOR)
    return Packages(wheels, hashlib.sha256(HYPERVISOR.encode()).hexdigest())


def _build(tree: Path, wheels: Path) -> None:
    _run("-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(tree))


def _download(requirements: Path, wheels: Path) -> None:
    """For the Python that a machine of these tests finds first."""
    python = shutil.which("python3", path=SYSTEM_PATH)
    assert python is not None
    ask = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    version = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    _run(
        "-m", "pip", "download", "-q", "--no-deps", "--require-hashes", "--only-binary=:all:",
        f"--python-version={version}", "--platform=manylinux2014_x86_64", "--platform=manylinux_2_28_x86_64",
        f"--dest={wheels}", f"--requirement={requirements}",
    )  # fmt: skip


def _run(*arguments: str) -> None:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
