"""The interfaces of one VM: checked before, made for the life of its VMM, removed with it."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

from qarax_node.network import macvtaps, taps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qarax_node.drivers.base import NetworkSpec


def check(networks: Sequence[NetworkSpec]) -> None:
    """Refuse what is not there on this host, without making anything."""
    for place, network in enumerate(networks):
        field = f"networks.{place}"
        if network.ip:
            taps.interface(network.ip, network.mask, f"{field}.ip")
        if network.interface_type == "tap" and network.tap:
            taps.check_tap(network.tap, f"{field}.tap")
        if network.interface_type == "macvtap":
            macvtaps.check_parent(network.parent, f"{field}.parent")


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
    if network.interface_type == "tap" and not network.tap:
        name = taps.made_name(vm_id, network.id)
        taps.make_tap(name, multi_queue=(network.num_queues or 2) > 2, field=field)  # noqa: PLR2004  rx + tx
        await taps.set_up(
            name, ip=network.ip, mask=network.mask, mtu=network.mtu, mac=network.host_mac, field=field
        )
        return dataclasses.replace(network, tap=name, ip="", mask="")
    if network.interface_type == "macvtap":
        name = taps.made_name(vm_id, network.id, "qm")
        mac = await macvtaps.make(name, network.parent, network.mac, network.mtu, field)
        fds = macvtaps.open_queues(name, max(1, (network.num_queues or 2) // 2), field)
        return dataclasses.replace(network, mac=mac, macvtap_fds=fds)
    return network


def release(networks: Sequence[NetworkSpec]) -> None:
    """Close the descriptors of macvtaps."""
    for network in networks:
        for descriptor in network.macvtap_fds:
            os.close(descriptor)


async def remove(vm_id: str, networks: Sequence[NetworkSpec]) -> None:
    """Remove what `make` made; what is gone already is fine."""
    for network in networks:
        if network.interface_type == "tap" and not network.tap:
            await taps.remove(taps.made_name(vm_id, network.id))
        if network.interface_type == "macvtap":
            await macvtaps.remove(taps.made_name(vm_id, network.id, "qm"))
