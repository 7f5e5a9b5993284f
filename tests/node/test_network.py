"""Taps and macvtaps in a network namespace of the test's own: made, found again, removed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qarax_node.errors import NodeError
from qarax_node.network import taps

IN_NAMESPACE = """
import asyncio, json, os, subprocess, sys
from qarax_node.drivers.base import NetworkSpec
from qarax_node.network import interfaces

def links():
    return {link["ifname"]: link for link in json.loads(subprocess.check_output(["ip", "-j", "address"]))}

async def main():
    subprocess.check_call(["ip", "link", "add", "parent0", "type", "veth", "peer", "name", "peer0"])
    subprocess.check_call(["ip", "link", "set", "parent0", "up"])
    networks = (
        NetworkSpec("a", "tap", ip="192.0.2.1", mask="255.255.255.0", mtu=1400),
        NetworkSpec("b", "macvtap", parent="parent0", mac="52:54:00:00:00:07"),
    )
    interfaces.check(networks)
    made = await interfaces.make("vm", networks)
    again = await interfaces.make("vm", networks)
    seen = links()
    fds = [fd for network in (*made, *again) for fd in network.macvtap_fds]
    interfaces.release((*made, *again))
    await interfaces.remove("vm", networks)
    await interfaces.remove("vm", networks)
    print(json.dumps({"tap": made[0].tap, "same": made[0].tap == again[0].tap, "mac": made[1].mac,
                      "fds": len(fds), "seen": seen, "left": sorted(links())}))

asyncio.run(main())
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/net/tun").exists(), reason="needs root and /dev/net/tun"
)
def test_interfaces_live_as_long_as_their_vm() -> None:
    mounted = "mount -t sysfs sysfs /sys && exec"
    ran = subprocess.run(
        ["unshare", "-nm", "sh", "-c", f'{mounted} "$@"', "sh", sys.executable, "-c", IN_NAMESPACE],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    tap = said["seen"][said["tap"]]
    assert said["same"]
    assert tap["mtu"] == 1400
    assert "UP" in tap["flags"]
    assert [address["local"] for address in tap["addr_info"] if address["family"] == "inet"] == ["192.0.2.1"]
    assert (said["mac"], said["fds"]) == ("52:54:00:00:00:07", 2)
    assert said["left"] == ["lo", "parent0", "peer0"]


@pytest.mark.parametrize("name", ["-a", "", "a b", "a/b", "x" * 16, "a\n", "..", "a;b"])
def test_a_name_that_is_no_interface_name_is_refused(name: str) -> None:
    with pytest.raises(NodeError):
        taps.check_name(name, "tap")


def test_a_tap_that_is_not_there_is_refused_with_its_fix() -> None:
    with pytest.raises(NodeError, match="ip tuntap add dev none0 mode tap"):
        taps.check_tap("none0", "networks.0.tap")
    with pytest.raises(NodeError, match="no tap"):
        taps.check_tap("lo", "networks.0.tap")


def test_made_names_are_short_stable_and_distinct() -> None:
    names = {taps.made_name(vm, network) for vm in ("a", "b") for network in ("0", "1")}
    assert len(names) == 4
    assert all(len(name) == 15 for name in names)
