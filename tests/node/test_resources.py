"""Memory and huge pages of this host, as the preflight asks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qarax_node.drivers.base import MachineSpec
from qarax_node.errors import NodeError
from qarax_node.machines import resources


def spec(**more: Any) -> MachineSpec:
    fields: dict[str, Any] = {
        "vm_id": "1",
        "name": "vm",
        "directory": Path("/vm"),
        "boot_vcpus": 1,
        "max_vcpus": 1,
        "memory_size": 1 << 50,
        "kernel": Path("/kernel"),
        "cmdline": "",
        **more,
    }
    return MachineSpec(**fields)


@pytest.mark.parametrize("starting", [False, True])
@pytest.mark.parametrize(
    ("more", "field", "kind", "words"),
    [
        ({}, "memory_size", "exhausted", "give this one less"),
        ({"memory_hugepages": True}, "memory_hugepages", "exhausted", "nr_hugepages"),
        ({"memory_hugepages": True, "memory_size": (1 << 50) + 4096}, "memory_size", "invalid", "multiple"),
        (
            {"memory_hugepages": True, "memory_hugepage_size": 1 << 40},
            "memory_hugepage_size",
            "invalid",
            "no huge pages of 1099511627776 bytes; it has ",
        ),
    ],
)
def test_memory_that_is_not_there_is_refused_with_the_fix(
    more: dict[str, Any], field: str, kind: str, words: str, starting: bool
) -> None:
    if more.get("memory_hugepages") and not resources.HUGEPAGES.is_dir():
        pytest.skip("this kernel has no huge pages")
    with pytest.raises(NodeError, match=words) as refused:
        resources.check_memory(spec(**more), starting=starting)
    assert (refused.value.field, refused.value.kind) == (field, kind)


def test_memory_that_is_there_passes() -> None:
    resources.check_memory(spec(memory_size=1 << 20), starting=True)
