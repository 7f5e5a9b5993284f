"""What a request for a deployment comes to, checked before anything begins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from qarax_server.control.deployment.release import Release, find_release
from qarax_server.errors import Invalid
from qarax_server.nodes.addresses import literal
from qarax_server.settings import Settings

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
VERSION = re.compile(r"v?(\d+(?:\.\d+)+(?:[A-Za-z0-9.+]*))")
RELEASE_TAG = re.compile(r"v(\d+\.\d+\.\d+)")
"""A tag that says which qarax is in the image; what other tags mean is their owner's."""
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(:\d{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+")


@dataclass(frozen=True)
class Plan:
    """`target` is what is shown; `version` what the node must answer with, empty when a name cannot tell."""

    mode: str
    target: str
    version: str
    ssh_port: int
    force: bool
    password: str = field(repr=False)
    release: Release | None = None


def make_plan(settings: Settings, address: str, request: Mapping[str, Any]) -> Plan:
    """Hold a request for the host at an address against the settings.

    Raises:
        Invalid: what it needs is not configured, not there, or not a version.
    """
    mode = request.get("mode") or settings.deployment.mode
    wanted, password = request.get("image_version") or "", request.get("ssh_password") or ""
    _check_way_in(settings, password)
    _check_certificates(settings, address)
    common = {"ssh_port": request["ssh_port"], "force": request["force"], "password": password}
    if mode == "bootc":
        target, version = _image(settings, wanted)
        return Plan(mode, target, version, **common)
    release = find_release(settings.deployment.packages_path, _release_version(wanted))
    return Plan(mode, f"qarax {release.name}", release.version, **common, release=release)


def _check_way_in(settings: Settings, password: str) -> None:
    key = settings.deployment.ssh_key_path
    if not key and not password:
        sentence = (
            "deployment.ssh_key_path names no SSH key, and the request has no ssh_password: give one of them"
        )
        raise _invalid("ssh_password", sentence, "no_ssh_key")
    if key and not Path(key).is_file():
        raise _invalid("ssh_password", f"deployment.ssh_key_path: there is no file {key}", "no_ssh_key")


def has_certificates(settings: Settings) -> bool:
    """Whether nodes are spoken to with mutual TLS."""
    return bool(settings.node_tls.directory or settings.node_tls.ca)


def _check_certificates(settings: Settings, address: str) -> None:
    found = literal(address)
    alone = settings.node_tls.plain_text and found is not None and found.is_loopback
    if not alone and not has_certificates(settings):
        raise Invalid(
            "node_tls names no certificates, and without them a node serves its own machine only: run "
            "`qarax-server ca init` and set node_tls.directory",
            code="no_certificates",
        )


def _release_version(wanted: str) -> str:
    if not wanted:
        return metadata.version("qarax")
    found = VERSION.fullmatch(wanted)
    if found is None:
        raise _invalid("image_version", f"a direct deployment takes a version such as v1.0.0, not {wanted}")
    return found[1]


def _image(settings: Settings, wanted: str) -> tuple[str, str]:
    registry, name = settings.bootc.registry, settings.bootc.image_name
    repository = f"{registry}/{name}"
    if not registry:
        raise Invalid("bootc.registry is not set: name the registry that has the image", code="no_registry")
    if not REPOSITORY.fullmatch(repository):
        raise Invalid(
            f"bootc.registry and bootc.image_name make no image name: {repository}", code="no_registry"
        )
    if not wanted:
        raise _invalid("image_version", "name the image's tag, or better its digest (sha256:…)")
    if DIGEST.fullmatch(wanted):
        return f"{repository}@{wanted}", ""
    if not TAG.fullmatch(wanted):
        raise _invalid("image_version", "an image tag such as v1.0.0, or sha256: and 64 hexadecimal digits")
    version = RELEASE_TAG.fullmatch(wanted)
    return f"{repository}:{wanted}", version[1] if version else ""


def _invalid(name: str, sentence: str, code: str = "invalid") -> Invalid:
    return Invalid(f"{name}: {sentence}", code=code, errors={name: [sentence]})
