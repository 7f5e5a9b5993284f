"""Which Cloud Hypervisor is used: the version gate, KVM, and what the operator chose."""

from __future__ import annotations

from pathlib import Path

import pytest

from qarax_node.drivers import kvm
from qarax_node.drivers.base import Capability
from qarax_node.drivers.cloud_hypervisor.probe import probe
from tests.node.drivers.conftest import CLOUD_HYPERVISOR


def binary_saying(tmp_path: Path, text: str) -> str:
    path = tmp_path / "ch"
    path.write_text(f"#!/bin/sh\necho '{text}'\n")
    path.chmod(0o700)
    return str(path)


@pytest.mark.parametrize(
    ("said", "version", "fault", "warning"),
    [
        ("cloud-hypervisor v53.0", "v53.0", "", ""),
        ("cloud-hypervisor v53.0.0-12-gabc", "v53.0.0-12-gabc", "", ""),
        ("cloud-hypervisor v54.1", "v54.1", "", "newer than v53"),
        ("cloud-hypervisor v52.0", "v52.0", "v53.0 or newer is needed (older ones have CVE-2026-45782", ""),
        ("cloud-hypervisor v9.0", "v9.0", "too old", ""),
        ("QEMU emulator version 7.2", "", "does not name a version", ""),
    ],
)
def test_the_version_gate(tmp_path: Path, said: str, version: str, fault: str, warning: str) -> None:
    found = probe(binary_saying(tmp_path, said), chosen=True)
    assert found.version == version
    assert fault in found.fault
    assert bool(fault) == bool(found.fault)
    assert warning in found.warning
    assert bool(warning) == bool(found.warning)
    assert found.facts().usable == (not fault)


def test_the_stand_in_passes_the_gate_and_an_older_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = probe(str(CLOUD_HYPERVISOR), chosen=True).facts()
    assert (facts.version, facts.usable, facts.capabilities) == ("v53.0", True, frozenset(Capability))
    monkeypatch.setenv("CLOUD_HYPERVISOR_STAND_IN", "version=v52.1")
    assert "too old" in probe(str(CLOUD_HYPERVISOR), chosen=True).facts().reason


def test_a_driver_nobody_named_needs_kvm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "KVM", "/nowhere/kvm")
    named, offered = probe(str(CLOUD_HYPERVISOR), chosen=True), probe(str(CLOUD_HYPERVISOR))
    assert (named.facts().usable, offered.facts().usable) == (True, False)
    for found in (named, offered):
        assert found.facts().accelerator == "none"
        assert "/nowhere/kvm cannot be opened (No such file or directory)" in found.facts().reason


def test_a_cpu_without_virtualisation_is_no_kvm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kvm, "KVM", "/dev/null")
    monkeypatch.setattr(kvm, "CPU_INFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("flags : fpu vme svmx\n")
    assert kvm.why_no_kvm() == "the CPU shows neither vmx nor svm"
    (tmp_path / "cpuinfo").write_text("flags : fpu vmx sse\n")
    assert kvm.why_no_kvm() == ""


def test_a_missing_binary_says_what_to_do() -> None:
    assert "--cloud-hypervisor-binary" in probe("no-such-hypervisor").fault
