"""The systemd units: what must outlive a restart is told so to systemd, and the commands are real."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from qarax_node import settings

UNITS = Path(__file__).parents[2] / "deployments" / "systemd"


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # as the documentation has it
    parser.read(UNITS / name, encoding="utf-8")
    return parser


def test_the_keeper_leaves_its_vms_alone_when_it_ends() -> None:
    service = unit("qarax-keeper.service")["Service"]
    assert service["KillMode"] == "process"
    assert service["OOMPolicy"] == "continue"
    assert service["Restart"] == "always"


def test_the_node_is_another_unit_that_neither_needs_nor_stops_the_keeper() -> None:
    node = unit("qarax-node.service")
    assert not {"Requires", "BindsTo", "PartOf"} & set(node["Unit"])
    assert "qarax-keeper.service" in node["Unit"]["After"].split()
    assert int(node["Service"]["LimitNOFILE"]) >= 100_000


def test_both_use_one_directory() -> None:
    keeper = unit("qarax-keeper.service")["Service"]["ExecStart"].split()
    node = settings.parse(unit("qarax-node.service")["Service"]["ExecStart"].split()[1:-1])
    assert keeper[keeper.index("--runtime-dir") + 1] == str(node.runtime_dir)
    assert keeper[keeper.index("--socket") + 1] == str(node.keeper_socket)


@pytest.mark.parametrize("name", ["qarax-keeper.service", "qarax-node.service"])
def test_every_line_is_a_setting_or_a_comment(name: str) -> None:
    for line in (UNITS / name).read_text(encoding="utf-8").splitlines():
        assert not line or line[0] in "#[" or "=" in line
