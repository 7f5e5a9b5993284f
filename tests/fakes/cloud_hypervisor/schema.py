"""VmConfig of v53.0: fields in the order they are printed, with their defaults.

`structs.py` reads them; the smaller request bodies are in `bodies.py`; what must hold between fields is
checked at boot, in `checks.py`.
"""

from __future__ import annotations

import os
from typing import Any

from tests.fakes.cloud_hypervisor.shapes import (
    Boolean,
    Integer,
    ListOf,
    Optional,
    Shape,
    Text,
    Variant,
    ip_address,
    mac_address,
)
from tests.fakes.cloud_hypervisor.structs import Field, Struct

U8, U16, U32, U64, USIZE = (Integer(name) for name in ("u8", "u16", "u32", "u64", "usize"))
BOOL = Boolean()
STRING = Text()
PATH = Text("path string")
MAC = Text("a string", mac_address)
IP = Text("IP address", ip_address)


def optional(name: str, shape: Shape, *, flat: bool = False) -> Field:
    return Field(name, Optional(shape), flat=flat)


def switch(name: str, default: bool = False) -> Field:
    return Field(name, BOOL, default)


def listed(name: str, shape: Shape) -> Field:
    return Field(name, Optional(ListOf(shape)))


def random_mac() -> str:
    """A locally administered address, as chosen when the JSON is parsed."""
    return "2e:" + ":".join(f"{byte:02x}" for byte in os.urandom(5))


def pci(*, iommu: bool = True) -> tuple[Field, ...]:
    """The members every PCI device has, flattened into its object."""
    own = (Field("iommu", BOOL, False, flat=True, omit=False),) if iommu else ()
    return (
        optional("id", STRING, flat=True),
        *own,
        Field("pci_segment", U16, 0, flat=True),
        optional("pci_device_id", U8, flat=True),
    )


TOKEN_BUCKET = Struct(
    "TokenBucketConfig",
    Field("size", U64),
    Field("one_time_burst", Optional(U64), keep_null=True),
    Field("refill_time", U64),
)
RATE_LIMITER = Struct(
    "RateLimiterConfig",
    Field("bandwidth", Optional(TOKEN_BUCKET), keep_null=True),
    Field("ops", Optional(TOKEN_BUCKET), keep_null=True),
    deny_unknown=True,
)
AFFINITY = Struct("CpuAffinity", Field("vcpu", U32), Field("host_cpus", ListOf(USIZE)))
TOPOLOGY = Struct(
    "CpuTopology",
    *(Field(name, U16) for name in ("threads_per_core", "cores_per_die", "dies_per_package", "packages")),
)
CPUS = Struct(
    "CpusConfig",
    Field("boot_vcpus", U32),
    Field("max_vcpus", U32),
    optional("topology", TOPOLOGY),
    switch("kvm_hyperv"),
    Field("max_phys_bits", U8, 46),
    listed("affinity", AFFINITY),
    Field("features", Struct("CpuFeatures", switch("amx")), lambda: {"amx": False}),
    switch("nested", default=True),
    Field("core_scheduling", Variant("Vm", "Vcpu", "Off"), "Vm"),
    Field("profile", Variant("Host"), "Host"),
)
ZONE = Struct(
    "MemoryZoneConfig",
    Field("id", STRING),
    Field("size", U64),
    optional("file", PATH),
    switch("shared"),
    switch("hugepages"),
    optional("hugepage_size", U64),
    optional("host_numa_node", U32),
    optional("hotplug_size", U64),
    optional("hotplugged_size", U64),
    switch("prefault"),
    switch("reserve"),
    switch("mergeable"),
)
MEMORY = Struct(
    "MemoryConfig",
    Field("size", U64),
    switch("mergeable"),
    Field("hotplug_method", Variant("Acpi", "VirtioMem"), "Acpi"),
    optional("hotplug_size", U64),
    optional("hotplugged_size", U64),
    switch("shared"),
    switch("hugepages"),
    optional("hugepage_size", U64),
    switch("prefault"),
    switch("reserve"),
    listed("zones", ZONE),
    switch("thp", default=True),
)
PAYLOAD = Struct(
    "PayloadConfig",
    optional("firmware", PATH),
    optional("kernel", PATH),
    optional("cmdline", STRING),
    optional("initramfs", PATH),
)
QUEUE_AFFINITY = Struct("VirtQueueAffinity", Field("queue_index", U16), Field("host_cpus", ListOf(USIZE)))
DISK = Struct(
    "DiskConfig",
    *pci(),
    optional("path", PATH),
    switch("readonly"),
    switch("direct"),
    Field("num_queues", USIZE, 1),
    Field("queue_size", U16, 128),
    switch("vhost_user"),
    optional("vhost_socket", STRING),
    optional("rate_limit_group", STRING),
    optional("rate_limiter_config", RATE_LIMITER),
    switch("disable_io_uring"),
    switch("disable_aio"),
    optional("serial", STRING),
    listed("queue_affinity", QUEUE_AFFINITY),
    switch("backing_files"),
    switch("sparse", default=True),
    Field("image_type", Variant("FixedVhd", "Qcow2", "Raw", "Vhdx", "Unknown"), "Unknown"),
    Field("lock_granularity", Variant("ByteRange", "Full"), "ByteRange"),
)
NET = Struct(
    "NetConfig",
    *pci(),
    optional("tap", STRING),
    optional("ip", IP),
    optional("mask", IP),
    Field("mac", MAC, random_mac),
    optional("host_mac", MAC),
    optional("mtu", U16),
    Field("num_queues", USIZE, 2),
    Field("queue_size", U16, 256),
    switch("vhost_user"),
    optional("vhost_socket", STRING),
    Field("vhost_mode", Variant("Client", "Server"), "Client"),
    listed("fds", Integer("i32")),
    optional("rate_limiter_config", RATE_LIMITER),
    switch("offload_tso", default=True),
    switch("offload_ufo", default=True),
    switch("offload_csum", default=True),
)
RNG = Struct("RngConfig", *pci(), Field("src", PATH))
RTC = Struct("RtcConfig", *pci())
BALLOON = Struct(
    "BalloonConfig", *pci(), Field("size", U64), switch("deflate_on_oom"), switch("free_page_reporting")
)
FS = Struct(
    "FsConfig",
    *pci(iommu=False),
    Field("tag", STRING),
    Field("socket", PATH),
    Field("num_queues", USIZE, 1),
    Field("queue_size", U16, 1024),
)
PMEM = Struct("PmemConfig", *pci(), Field("file", PATH), optional("size", U64), switch("discard_writes"))
DEVICE = Struct(
    "DeviceConfig",
    *pci(),
    optional("path", PATH),
    optional("x_nv_gpudirect_clique", U8),
    Field("x_exclude_mmap_bars", ListOf(U64), list),
)
USER_DEVICE = Struct("UserDeviceConfig", *pci(iommu=False), Field("socket", PATH))
VDPA = Struct("VdpaConfig", *pci(), Field("path", PATH), Field("num_queues", USIZE, 1))
VSOCK = Struct("VsockConfig", *pci(), Field("cid", U32), Field("socket", PATH))
VHOST_USER = Struct(
    "GenericVhostUserConfig",
    *pci(),
    Field("socket", PATH),
    Field("queue_sizes", ListOf(U16)),
    Field("device_type", U32),
)
MODE = Variant("Off", "Pty", "Tty", "File", "Socket", "Null")
SERIAL = Struct("SerialConfig", optional("file", PATH), Field("mode", MODE), optional("socket", PATH))
CONSOLE = Struct(
    "ConsoleConfig", optional("file", PATH), Field("mode", MODE), optional("socket", PATH), *pci()
)
DEBUG_CONSOLE = Struct(
    "DebugConsoleConfig", optional("file", PATH), Field("mode", MODE), Field("iobase", Optional(U16), 0xE9)
)
PLATFORM = Struct(
    "PlatformConfig",
    Field("num_pci_segments", U16, 1),
    listed("iommu_segments", U16),
    Field("iommu_address_width_bits", U8, 64),
    Field("system_serial_number", Optional(STRING), aliases=("serial_number",)),
    Field("system_uuid", Optional(STRING), aliases=("uuid",)),
    listed("oem_strings", STRING),
    optional("system_manufacturer", STRING),
    optional("system_product_name", STRING),
    optional("system_version", STRING),
    optional("system_family", STRING),
    optional("system_sku_number", STRING),
    optional("chassis_asset_tag", STRING),
    switch("iommufd"),
    switch("vfio_p2p_dma", default=True),
)
NUMA = Struct(
    "NumaConfig",
    Field("guest_numa_id", U32),
    listed("cpus", U32),
    listed("distances", Struct("NumaDistance", Field("destination", U32), Field("distance", U8))),
    listed("memory_zones", STRING),
    listed("pci_segments", U16),
)
PCI_SEGMENT = Struct(
    "PciSegmentConfig",
    Field("pci_segment", U16, 0),
    Field("mmio32_aperture_weight", U32, 1),
    Field("mmio64_aperture_weight", U32, 1),
)
LANDLOCK = Struct("LandlockConfig", Field("path", PATH), Field("access", STRING))

VM = Struct(
    "VmConfig",
    Field("cpus", CPUS, lambda: _with(CPUS, boot_vcpus=1, max_vcpus=1)),
    Field("memory", MEMORY, lambda: _with(MEMORY, size=512 << 20)),
    optional("payload", PAYLOAD),
    listed("rate_limit_groups", Struct(
        "RateLimiterGroupConfig", Field("id", STRING), Field("rate_limiter_config", RATE_LIMITER))),
    listed("disks", DISK),
    listed("net", NET),
    Field("rng", RNG, lambda: _with(RNG, src="/dev/urandom")),
    optional("balloon", BALLOON),
    listed("generic_vhost_user", VHOST_USER),
    listed("fs", FS),
    listed("pmem", PMEM),
    Field("serial", SERIAL, lambda: _with(SERIAL, mode="Null")),
    Field("console", CONSOLE, lambda: _with(CONSOLE, mode="Tty")),
    Field("debug_console", DEBUG_CONSOLE, lambda: _with(DEBUG_CONSOLE, mode="Off")),
    listed("devices", DEVICE),
    listed("user_devices", USER_DEVICE),
    listed("vdpa", VDPA),
    optional("vsock", VSOCK),
    switch("pvpanic"),
    switch("iommu"),
    listed("numa", NUMA),
    switch("watchdog"),
    optional("rtc", RTC),
    listed("pci_segments", PCI_SEGMENT),
    optional("platform", PLATFORM),
    optional("tpm", Struct("TpmConfig", Field("socket", PATH))),
    switch("landlock_enable"),
    listed("landlock_rules", LANDLOCK),
)  # fmt: skip


def _with(shape: Struct, **values: Any) -> dict[str, Any]:
    """A struct's defaults with its required members filled in."""
    whole = shape.make_default()
    whole.update(values)
    return whole
