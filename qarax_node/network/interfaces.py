"""The interfaces of one VM: checked before, made for the life of its VMM, removed with it."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

from qarax_node.errors import NodeError
from qarax_node.network import macvtaps, taps, vhost_user

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qarax_node.drivers.base import NetworkSpec
    from qarax_node.settings import Settings


def check(networks: Sequence[NetworkSpec], settings: Settings) -> None:
    """Refuse what is not there on this host or not allowed, without making anything."""
    for place, network in enumerate(networks):
        field = f"networks.{place}"
        _check_host_side(network, field)
        if network.interface_type == "tap" and network.tap:
            taps.check_allowed(network.tap, settings.tap_names, f"{field}.tap")
            taps.check_tap(network.tap, f"{field}.tap")
            taps.check_queues(network.tap, network.num_queues, f"{field}.num_queues")
        if network.interface_type == "macvtap":
            macvtaps.check_parent(network.parent, f"{field}.parent")
        if network.interface_type == "vhost_user":
            where = f"{field}.vhost_socket"
            vhost_user.check_path(network.vhost_socket, settings.vhost_socket_dirs, where)


def _check_host_side(network: NetworkSpec, field: str) -> None:
    """Address and MAC of the host's end, which only a tap has."""
    for name in ("ip", "mask", "host_mac"):
        if getattr(network, name) and network.interface_type != "tap":
            raise NodeError(
                f"{name} is of the host's end of a tap; a {network.interface_type} has none: leave it out",
                code="not_supported",
                field=f"{field}.{name}",
            )
    if bool(network.ip) != bool(network.mask):
        raise NodeError("ip and mask come together", code="address_invalid", field=f"{field}.mask")
    if network.ip:
        taps.interface(network.ip, network.mask, f"{field}.ip")


async def make(vm_id: str, networks: Sequence[NetworkSpec]) -> tuple[NetworkSpec, ...]:
    """The networks with taps and macvtaps in place; call `release` when the VMM has the descriptors."""
    made: list[NetworkSpec] = []
    try:
        for place, network in enumerate(networks):
            made.append(await _make_one(vm_id, network, f"networks.{place}"))
    except BaseException:
        release(made)
        await remove(vm_id, networks)
        raise
    return tuple(made)


async def _make_one(vm_id: str, network: NetworkSpec, field: str) -> NetworkSpec:
    if network.interface_type == "tap":
        return await _tap(vm_id, network, field)
    if network.interface_type == "macvtap":
        name = taps.made_name(vm_id, network.id, "qm")
        mac = await macvtaps.make(name, network.parent, network.mac, network.mtu, field)
        fds = macvtaps.open_queues(name, max(1, (network.num_queues or 2) // 2), field)
        return dataclasses.replace(network, mac=mac, macvtap_fds=fds)
    vhost_user.prepare(network, f"{field}.vhost_socket")
    return network


async def _tap(vm_id: str, network: NetworkSpec, field: str) -> NetworkSpec:
    """A tap of ours, or the named one, with what the spec says of its host's side."""
    name = network.tap or taps.made_name(vm_id, network.id)
    if not network.tap:
        taps.make_tap(name, multi_queue=(network.num_queues or 2) > taps.QUEUES_PER_PAIR, field=field)
    await taps.set_up(
        name, ip=network.ip, mask=network.mask, mtu=network.mtu, mac=network.host_mac, field=field
    )
    return dataclasses.replace(network, tap=name, ip="", mask="")


def release(networks: Sequence[NetworkSpec]) -> None:
    """Close the descriptors of macvtaps."""
    for network in networks:
        for descriptor in network.macvtap_fds:
            os.close(descriptor)


async def remove(vm_id: str, networks: Sequence[NetworkSpec]) -> None:
    """Remove what `make` made, or a VMM left; what is gone already is fine."""
    for network in networks:
        if network.interface_type == "tap" and not network.tap:
            await taps.remove(taps.made_name(vm_id, network.id))
        if network.interface_type == "macvtap":
            await macvtaps.remove(taps.made_name(vm_id, network.id, "qm"))
        if network.interface_type == "vhost_user":
            vhost_user.remove(network)
