"""What a direct deployment brings: one version of qarax, read from the wheels in `deployment.packages_path`.

    qarax-0.1.0-py3-none-any.whl   the version; it holds the units and the locked list of what the agent needs
    cloud-hypervisor-static        as released, checked against deployment.cloud_hypervisor_sha256
    *.whl                          what the list names; the rest comes from the host's own package index

Wheels of several versions may lie there; each deployment takes one.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qarax_server.errors import Invalid

DATA = "qarax_server/_data/deployments/"
REQUIREMENTS = f"{DATA}node-requirements.lock"
KEEPER = "qarax_node/keeper/"
KEEPER_UNIT, NODE_UNIT = "qarax-keeper.service", "qarax-node.service"
HYPERVISOR = "cloud-hypervisor-static"
DIGEST_LENGTH = 12


@dataclass(frozen=True)
class Release:
    """One version. `keeper` and `name` change with what they stand for; `files` are by name in DATA."""

    version: str
    wheel: Path
    name: str
    keeper: str
    files: Mapping[str, bytes]
    requirements: bytes
    hypervisor: Path

    def wheels_for(self, python: str, machine: str) -> list[Path]:
        """The wheels here that are on the list and fit the host: `python` as 3.11, `machine` as x86_64."""
        found = sorted(self.wheel.parent.glob("*.whl"))
        return [each for each in found if _fits(each.name, python, machine) and self._wants(each)]

    @property
    def wanted(self) -> set[str]:
        """The distributions on the list, with their versions, as `grpcio-1.85.1`."""
        pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", self.requirements.decode(), re.MULTILINE)
        return {f"{_plain(name)}-{version}" for name, version in pins}

    def _wants(self, wheel: Path) -> bool:
        return distribution(wheel) in self.wanted


def find_release(directory: str, version: str) -> Release:
    """Read the wheel of a version.

    Raises:
        Invalid: it is not there, or not whole; the sentence says where to put it.
    """
    place = Path(directory)
    wheel = place / f"qarax-{version}-py3-none-any.whl"
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = {name: archive.read(name) for name in archive.namelist() if _matters(name)}
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    except OSError as error:
        raise _missing(wheel, version, error.strerror or "it cannot be read") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise _missing(wheel, version, f"it is no wheel: {error}") from error
    units = (f"{DATA}systemd/{name}" for name in (KEEPER_UNIT, NODE_UNIT))
    if absent := [name for name in (REQUIREMENTS, *units) if name not in content]:
        raise _missing(wheel, version, f"it has no {absent[0]}")
    return Release(
        version=version,
        wheel=wheel,
        name=f"{version}-{digest[:DIGEST_LENGTH]}",
        keeper=_keeper(content),
        files={name.removeprefix(DATA): body for name, body in content.items() if name.startswith(DATA)},
        requirements=content[REQUIREMENTS],
        hypervisor=place / HYPERVISOR,
    )


def distribution(wheel: Path) -> str:
    """Name and version of a wheel, as `grpcio-1.85.1`."""
    name, version, *_ = wheel.name.split("-")
    return f"{_plain(name)}-{version}"


def _matters(name: str) -> bool:
    return not name.endswith("/") and name.startswith((DATA, KEEPER))


def _keeper(content: Mapping[str, bytes]) -> str:
    """What a running keeper is held against: its program and its unit."""
    digest = hashlib.sha256()
    for name in sorted(content):
        if name.startswith(KEEPER) or name.endswith(KEEPER_UNIT):
            digest.update(name.encode() + b"\0" + content[name])
    return digest.hexdigest()


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def _fits(name: str, python: str, machine: str) -> bool:
    """Whether a wheel's tags (PEP 425) are those of a Linux host with such a Python and processor."""
    parts = name.removesuffix(".whl").split("-")
    if len(parts) < 5:  # noqa: PLR2004 - name, version, Python, ABI, platform
        return False
    tag, abi, platform = parts[-3:]
    theirs = re.fullmatch(r"cp3(\d+)", tag)
    minor = int(python.partition(".")[2])
    runs = "py3" in tag.split(".") or (
        theirs is not None and (int(theirs[1]) == minor or (abi == "abi3" and int(theirs[1]) <= minor))
    )
    return runs and (platform == "any" or ("linux" in platform and platform.endswith(machine)))


def _missing(wheel: Path, version: str, why: str) -> Invalid:
    sentence = (
        f"there is no qarax {version} to deploy: {wheel}: {why}. Put the wheel there "
        f"(`make build` makes it), or name another directory in deployment.packages_path"
    )
    return Invalid(sentence, code="no_such_release", errors={"image_version": [sentence]})
