"""The choice of driver: KVM must open, answer, and have a CPU behind it; downloads must have the digest."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from qarax_tui.stack import cloud_hypervisor, hypervisor
from qarax_tui.stack.errors import StackError


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def empty_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A PATH on which nothing is."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.fixture
def mirror(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder served over HTTP as if it had the releases."""
    folder = tmp_path_factory.mktemp("mirror")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        monkeypatch.setenv(cloud_hypervisor.BASE_VARIABLE, f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder
        server.shutdown()


def test_no_device_no_kvm(tmp_path: Path) -> None:
    assert "there is no" in hypervisor.why_no_kvm(tmp_path / "kvm")


def test_a_file_that_is_not_kvm_is_no_kvm(tmp_path: Path) -> None:
    (tmp_path / "kvm").touch()
    assert "is not KVM" in hypervisor.why_no_kvm(tmp_path / "kvm")


def test_simulated_is_only_what_was_asked_for(tmp_path: Path, said: list[str]) -> None:
    choice = hypervisor.choose("simulated", binaries=tmp_path, install=False, say=said.append)
    assert choice.driver == "simulated"
    assert "nothing real" in choice.reason


@pytest.mark.usefixtures("empty_path")
def test_no_qemu_and_no_way_to_install_it(tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(StackError, match=r"Install it: sudo apt-get install .*qemu-system-x86"):
        hypervisor.choose("qemu", binaries=tmp_path, install=False, say=said.append)
    with pytest.raises(StackError, match="no apt-get"):
        hypervisor.choose("qemu", binaries=tmp_path, install=True, say=said.append)


def test_apt_that_fails_is_said_with_the_command_to_type(empty_path: Path, said: list[str]) -> None:
    # apt-get and, for those who are not root, sudo; `env` runs what it is given
    for name, text in {
        "apt-get": "echo 'E: Temporary failure resolving' >&2; exit 100",
        "sudo": '[ "$1" = -n ] && shift; exec "$@"',
        "env": 'shift; exec "$@"',
    }.items():
        (empty_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (empty_path / name).chmod(0o755)
    with pytest.raises(
        StackError, match=r"Temporary failure resolving.*Once there is a network: sudo apt-get"
    ):
        hypervisor.choose("qemu", binaries=empty_path, install=True, say=said.append)
    assert any("installing the package qemu-system-x86" in line for line in said)


@pytest.mark.usefixtures("empty_path")
def test_a_download_with_another_digest_is_not_kept(mirror: Path, tmp_path: Path, said: list[str]) -> None:
    release = mirror / cloud_hypervisor.VERSION
    release.mkdir()
    (release / cloud_hypervisor.FILE).write_bytes(b"not it")
    digest = hashlib.sha256(b"not it").hexdigest()
    with pytest.raises(StackError, match=rf"SHA-256 is {digest}"):
        cloud_hypervisor.find_or_download(tmp_path / "bin", said.append)
    assert not (tmp_path / "bin").exists()


@pytest.mark.usefixtures("empty_path", "mirror")
def test_no_download_is_a_sentence_with_the_way_out(tmp_path: Path, said: list[str]) -> None:
    with pytest.raises(StackError, match=cloud_hypervisor.BASE_VARIABLE):
        cloud_hypervisor.find_or_download(tmp_path / "bin", said.append)


def test_the_one_on_the_path_is_taken(empty_path: Path, said: list[str]) -> None:
    binary = empty_path / "cloud-hypervisor"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    assert cloud_hypervisor.find_or_download(empty_path / "bin", said.append) == binary
