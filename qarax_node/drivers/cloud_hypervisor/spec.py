"""From a MachineSpec to the bodies of `vm.create` and `vm.add-net`; pure, so that every field can be tested.

What Cloud Hypervisor cannot honour was refused by `preflight.py`. Everything that has a default there which
matters here is said explicitly: ids, MACs, image types, the consoles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qarax_node.drivers.cloud_hypervisor import landlock as confinement
from qarax_node.drivers.cloud_hypervisor.process import SERIAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qarax_node.drivers.base import DiskSpec, MachineSpec, NetworkSpec

IMAGE_TYPES = {"raw": "Raw", "qcow2": "Qcow2"}
QUEUES_PER_PAIR = 2

Body = dict[str, Any]


def vm_config(spec: MachineSpec, *, landlock: bool = False) -> Body:
    """The body of `vm.create`. Interfaces with passed descriptors are not in it: see `added_nets`."""
    config: Body = {
        "cpus": _cpus(spec),
        "memory": _memory(spec),
        "payload": _given(
            kernel=str(spec.kernel), cmdline=spec.cmdline, initramfs=str(spec.initrd) if spec.initrd else None
        ),
        "serial": {"mode": "Socket", "socket": SERIAL},
        "console": {"mode": "Off"},
        "pvpanic": True,
        "platform": _platform(spec),
    }
    if spec.disks:
        config["disks"] = [_disk(disk) for disk in spec.disks]
    nets = [_net(network) for network in spec.networks if not _is_passed(network)]
    if nets:
        config["net"] = nets
    if landlock:
        config["landlock_enable"] = True
        config["landlock_rules"] = list(confinement.rules(spec))
    return config


def added_nets(spec: MachineSpec) -> Iterator[tuple[Body, tuple[int, ...]]]:
    """Bodies of `vm.add-net` with the descriptors to send along: `vm.create` would drop them silently."""
    for network in spec.networks:
        if _is_passed(network):
            body = _net(network)
            body["num_queues"] = QUEUES_PER_PAIR * len(network.macvtap_fds)
            yield body, network.macvtap_fds


def _is_passed(network: NetworkSpec) -> bool:
    return network.interface_type == "macvtap"


def _cpus(spec: MachineSpec) -> Body:
    return _given(
        boot_vcpus=spec.boot_vcpus,
        max_vcpus=spec.max_vcpus,
        topology=dict(spec.cpu_topology) if spec.cpu_topology else None,
        kvm_hyperv=spec.kvm_hyperv,
    )


def _memory(spec: MachineSpec) -> Body:
    return _given(
        size=spec.memory_size,
        hotplug_size=spec.memory_hotplug_size,
        hugepages=spec.memory_hugepages,
        hugepage_size=spec.memory_hugepage_size,
        mergeable=spec.memory_mergeable,
        prefault=spec.memory_prefault,
        shared=spec.memory_shared,
        thp=spec.memory_thp,
    )


def _platform(spec: MachineSpec) -> Body:
    segments = 1 + max((network.pci_segment or 0 for network in spec.networks), default=0)
    return {"system_uuid": spec.vm_id, "num_pci_segments": segments}


def _disk(disk: DiskSpec) -> Body:
    return {
        "id": disk.id,
        "path": str(disk.path),
        "readonly": disk.readonly,
        "image_type": IMAGE_TYPES[disk.image_type],
    }


def _net(network: NetworkSpec) -> Body:
    vhost_user = network.interface_type == "vhost_user"
    return _given(
        id=network.id,
        tap=(network.tap or None) if network.interface_type == "tap" else None,
        mac=network.mac,
        host_mac=network.host_mac or None,
        mtu=network.mtu,
        num_queues=network.num_queues,
        queue_size=network.queue_size,
        iommu=network.iommu or None,
        pci_segment=network.pci_segment,
        offload_tso=network.offload_tso,
        offload_ufo=network.offload_ufo,
        offload_csum=network.offload_csum,
        rate_limiter_config=_rate_limiter(network.rate_limiter),
        vhost_user=vhost_user or None,
        vhost_socket=(network.vhost_socket or None) if vhost_user else None,
        vhost_mode=(network.vhost_mode or "client").capitalize() if vhost_user else None,
    )


def _rate_limiter(limiter: Mapping[str, Mapping[str, int]] | None) -> Body | None:
    """Buckets that were given; unknown keys are an error in there, so only known ones are sent."""
    if not limiter:
        return None
    keys = ("size", "refill_time", "one_time_burst")
    return {
        kind: _given(**{key: limiter[kind].get(key) for key in keys})
        for kind in ("bandwidth", "ops")
        if limiter.get(kind)
    }


def _given(**fields: Any) -> Body:
    """What was given; the rest keeps the hypervisor's default."""
    return {name: value for name, value in fields.items() if value is not None}
