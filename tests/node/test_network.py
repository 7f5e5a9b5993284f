"""Taps and macvtaps in a network namespace of the test's own: made, found again, removed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from qarax_node.drivers.base import NetworkSpec
from qarax_node.errors import NodeError
from qarax_node.network import interfaces, taps, vhost_user
from qarax_node.settings import Settings

IN_NAMESPACE = """
import asyncio, json, os, subprocess, sys
from qarax_node.drivers.base import NetworkSpec
from qarax_node.network import interfaces
from qarax_node.settings import Settings

def links():
    return {link["ifname"]: link for link in json.loads(subprocess.check_output(["ip", "-j", "address"]))}

async def main():
    subprocess.check_call(["ip", "link", "add", "parent0", "type", "veth", "peer", "name", "peer0"])
    subprocess.check_call(["ip", "link", "set", "parent0", "up"])
    networks = (
        NetworkSpec("a", "tap", ip="192.0.2.1", mask="255.255.255.0", mtu=1400),
        NetworkSpec("six", "tap", ip="fd00:2::1", mask="ffff:ffff:ffff:ffff::"),
        NetworkSpec("b", "macvtap", parent="parent0", mac="52:54:00:00:00:07"),
    )
    interfaces.check(networks, Settings())
    made = await interfaces.make("vm", networks)
    again = await interfaces.make("vm", networks)
    seen = links()
    fds = [fd for network in (*made, *again) for fd in network.macvtap_fds]
    interfaces.release((*made, *again))
    await interfaces.remove("vm", networks)
    await interfaces.remove("vm", networks)
    print(json.dumps({"tap": made[0].tap, "same": made[0].tap == again[0].tap, "mac": made[2].mac,
                      "six": made[1].tap,
                      "fds": len(fds), "seen": seen, "left": sorted(links())}))

asyncio.run(main())
"""


def test_a_mask_with_holes_is_refused() -> None:
    for ip, mask in (("192.0.2.1", "255.0.255.0"), ("fd00::1", "ffff::ffff:0"), ("fd00::1", "255.255.0.0")):
        with pytest.raises(NodeError) as refused:
            interfaces.check((NetworkSpec("a", "tap", ip=ip, mask=mask),), Settings())
        assert (refused.value.code, refused.value.field) == ("address_invalid", "networks.0.ip")


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/net/tun").exists(), reason="needs root and /dev/net/tun"
)
def test_interfaces_live_as_long_as_their_vm() -> None:
    ran = in_a_namespace(IN_NAMESPACE)
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    tap = said["seen"][said["tap"]]
    assert said["same"]
    assert tap["mtu"] == 1400
    assert "UP" in tap["flags"]
    six = [(one["local"], one["prefixlen"]) for one in said["seen"][said["six"]]["addr_info"]]
    assert ("fd00:2::1", 64) in six
    assert [address["local"] for address in tap["addr_info"] if address["family"] == "inet"] == ["192.0.2.1"]
    assert (said["mac"], said["fds"]) == ("52:54:00:00:00:07", 2)
    assert said["left"] == ["lo", "parent0", "peer0"]


def in_a_namespace(script: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a network namespace of its own, with a /sys that shows it."""
    mounted = "mount -t sysfs sysfs /sys && exec"
    return subprocess.run(
        ["unshare", "-nm", "sh", "-c", f'{mounted} "$@"', "sh", sys.executable, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


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


IN_ANOTHER = """
import asyncio, dataclasses, json, subprocess
from pathlib import Path
from qarax_node.drivers.base import NetworkSpec
from qarax_node.errors import NodeError
from qarax_node.network import interfaces
from qarax_node.settings import Settings

async def main():
    subprocess.check_call(["ip", "tuntap", "add", "dev", "lan0", "mode", "tap"])
    networks = (NetworkSpec("a", "tap", tap="lan0", host_mac="52:54:00:00:00:09", ip="192.0.2.1",
                            mask="255.255.255.0", mtu=1300),)
    interfaces.check(networks, Settings(tap_names=("lan*",)))
    try:
        interfaces.check((dataclasses.replace(networks[0], num_queues=4),), Settings())
    except NodeError as error:
        refused = error.field, str(error)
    made = await interfaces.make("vm", networks)
    await interfaces.remove("vm", networks)
    seen, = json.loads(subprocess.check_output(["ip", "-j", "address", "show", "dev", "lan0"]))
    print(json.dumps({"left": [made[0].tap, made[0].ip, made[0].mtu], "seen": seen, "refused": refused}))

asyncio.run(main())
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/net/tun").exists(), reason="needs root and /dev/net/tun"
)
def test_a_named_tap_gets_what_the_spec_says_of_it_and_stays() -> None:
    ran = in_a_namespace(IN_ANOTHER)
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    tap = said["seen"]
    assert said["left"] == ["lan0", "", 1300]
    field, sentence = said["refused"]
    assert field == "networks.0.num_queues"
    assert "ip tuntap add dev lan0 mode tap multi_queue" in sentence
    assert (tap["mtu"], tap["address"]) == (1300, "52:54:00:00:00:09")
    assert "UP" in tap["flags"]
    assert [address["local"] for address in tap["addr_info"] if address["family"] == "inet"] == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("name", "patterns"), [("qx0123456789abc", ("*",)), ("eth7", ("vm*", "lan*")), ("vm1", ())]
)
def test_a_tap_that_is_not_for_vms_is_refused(name: str, patterns: tuple[str, ...]) -> None:
    with pytest.raises(NodeError) as refused:
        taps.check_allowed(name, patterns, "networks.0.tap")
    assert (refused.value.code, refused.value.field) == ("tap_not_allowed", "networks.0.tap")


def test_a_vhost_user_socket_stays_where_it_is_allowed(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "out").symlink_to(tmp_path)
    vhost_user.check_path(f"{allowed}/a/b.sock", [allowed], "x")
    for path in ("relative", f"{tmp_path}/b.sock", f"{allowed}/../b.sock", f"{allowed}/out/b.sock", ""):
        with pytest.raises(NodeError, match="--vhost-socket-dir") as refused:
            vhost_user.check_path(path, [allowed], "networks.0.vhost_socket")
        assert refused.value.code == "vhost_socket_not_allowed"


def test_a_vhost_user_backend_is_there_before_a_start_and_a_server_finds_its_place_free(
    tmp_path: Path,
) -> None:
    path = tmp_path / "v.sock"
    client = NetworkSpec("n", "vhost_user", vhost_socket=str(path))
    server = NetworkSpec("n", "vhost_user", vhost_socket=str(path), vhost_mode="server")
    with pytest.raises(NodeError, match="start it first"):
        vhost_user.prepare(client, "networks.0.vhost_socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        vhost_user.prepare(client, "networks.0.vhost_socket")
        vhost_user.remove(client)
        assert path.exists()
        vhost_user.prepare(server, "networks.0.vhost_socket")
        assert not path.exists()
    path.write_text("no socket")
    vhost_user.remove(server)
    assert path.exists()


@pytest.mark.parametrize(
    ("network", "field"),
    [
        (NetworkSpec("n", "tap", ip="10.0.0.1"), "mask"),
        (NetworkSpec("n", "tap", mask="255.0.0.0"), "mask"),
        (NetworkSpec("n", "tap", ip="10.0.0.x", mask="255.0.0.0"), "ip"),
        (NetworkSpec("n", "macvtap", ip="10.0.0.1", mask="255.0.0.0"), "ip"),
        (NetworkSpec("n", "macvtap", host_mac="52:54:00:00:00:01"), "host_mac"),
        (NetworkSpec("n", "vhost_user", vhost_socket="/etc/v.sock"), "vhost_socket"),
    ],
)
def test_the_hosts_end_of_an_interface_is_refused_by_field(network: NetworkSpec, field: str) -> None:
    with pytest.raises(NodeError) as refused:
        interfaces.check([network], Settings())
    assert refused.value.field == f"networks.0.{field}"
