"""Whom the programs connect to because somebody asked: no metadata service, and where a name led once."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qarax_node.errors import NodeError
from qarax_node.storage import addresses as downloads
from qarax_server.errors import NodeUnavailable, NodeUntrusted
from qarax_server.models import Host
from qarax_server.nodes import addresses
from qarax_server.nodes.channels import Nodes
from qarax_server.settings import NodeTls
from tests.security.guarded import Tokens, bearer
from tests.server.running import ControlPlane, Node

pytestmark = pytest.mark.security

METADATA = (
    *("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200"),
    *("168.63.129.16", "192.0.0.192", "fe80::1", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe"),
    *("64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"),
)
NOWHERE = ("0.0.0.0", "::", "224.0.0.1", "ff02::1")
EVERYWHERE = ["0.0.0.0/0", "::/0"]


@pytest.mark.parametrize("address", METADATA + NOWHERE)
async def test_no_host_is_registered_at_a_metadata_service(
    plane: ControlPlane, tokens: Tokens, address: str
) -> None:
    body = {"name": "h", "address": address, "port": 80, "host_user": "root"}
    status, answer, _ = await plane.request("POST", "/hosts", body, **bearer(tokens.admin))
    assert (status, answer["code"]) == (422, "address_not_allowed")


@pytest.mark.parametrize("address", METADATA)
def test_no_download_reaches_a_metadata_service_whatever_is_allowed(address: str) -> None:
    assert not downloads.is_allowed(address, [])
    everywhere = downloads.networks(EVERYWHERE)
    assert not downloads.is_allowed(address, everywhere)
    with pytest.raises(NodeError, match="never are allowed"):
        downloads.PinnedResolver(everywhere).check(address)


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "192.168.1.1", "::1", "fd00::1", "100.64.0.1"])
def test_no_download_reaches_a_private_network_that_nobody_allowed(address: str) -> None:
    assert not downloads.is_allowed(address, [])
    assert downloads.is_allowed(address, downloads.networks(EVERYWHERE))


def test_server_and_node_know_the_same_metadata_services() -> None:
    assert [str(each) for each in addresses.METADATA] == [str(each) for each in downloads.METADATA]


def a_host(address: str, port: int = 1) -> Host:
    names = Host.__dataclass_fields__
    known: dict[str, Any] = dict.fromkeys(names)
    known |= {"id": "1b6d0f7e-2a3c-4d5e-8f90-a1b2c3d4e5f6", "name": "h", "address": address, "port": port}
    return Host(**known)


async def test_a_name_is_resolved_once_and_its_address_is_dialled() -> None:
    """What a name server says later is asked for with the next stream, and checked again."""
    nodes = Nodes(NodeTls(plain_text=True))
    host = a_host("localhost")
    with pytest.raises(NodeUnavailable, match="was not resolved yet"):
        nodes.of(host)
    client = await nodes.dial(host)
    target, known = nodes._clients[host.id]
    assert known is client is nodes.of(host)
    assert target in {"ipv4:127.0.0.1:1", "ipv6:[::1]:1"}
    with pytest.raises(NodeUnavailable, match="was not resolved yet"):
        nodes.of(replace(host, address="other.localhost"))
    await nodes.close()


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1"])
async def test_what_a_name_leads_to_is_held_against_the_networks_at_each_connection(address: str) -> None:
    nodes = Nodes(NodeTls(plain_text=True), allowed_networks=["10.0.0.0/8"])
    with pytest.raises(NodeUntrusted, match="outside application"):
        await nodes.dial(a_host(address))
    await nodes.close()


@pytest.mark.parametrize("address", METADATA + NOWHERE)
def test_what_was_registered_before_a_rule_is_not_dialled_after_it(address: str) -> None:
    with pytest.raises(NodeUntrusted):
        Nodes(NodeTls(plain_text=True), allowed_networks=EVERYWHERE).of(a_host(address))


async def test_a_name_leads_to_the_address_that_answers(tmp_path: Path) -> None:
    node = Node(tmp_path / "node")
    await node.start()
    nodes = Nodes(NodeTls(plain_text=True))
    found = [ipaddress.ip_address("::1"), ipaddress.ip_address("127.0.0.1")]
    try:
        assert str(await addresses.first_that_answers(found, node.port)) == "127.0.0.1"
        assert (await (await nodes.dial(a_host("localhost", node.port))).describe()).node_id
    finally:
        await nodes.close()
        await node.kill()
