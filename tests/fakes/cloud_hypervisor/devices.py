"""The device tree that vm.info shows: names, slots and children, in the order the VMM makes devices."""

from __future__ import annotations

from typing import Any

CREATION = (
    ("disks", "_disk"), ("net", "_net"), ("generic_vhost_user", "_generic_vhost_user"), ("fs", "_fs"),
    ("pmem", "_pmem"), ("vsock", "_vsock"), ("vdpa", "_vdpa"), ("devices", "_vfio"),
    ("user_devices", "_vfio_user"),
)  # fmt: skip
SLOTS = ("console", "disks", "net", "rng", "generic_vhost_user", "fs", "pmem", "vsock", "balloon", "watchdog",
         "vdpa", "rtc", "devices", "user_devices", "pvpanic")  # fmt: skip
FIXED = {"console": "__console", "rng": "__rng", "balloon": "__balloon", "watchdog": "__watchdog",
         "rtc": "__rtc", "pvpanic": "__pvpanic"}  # fmt: skip
NOT_VIRTIO = ("devices", "user_devices", "pvpanic")
FIRST_BAR = 0xE7F80000
BAR_SIZE = 0x80000

Config = dict[str, Any]


class DeviceTree:
    """The devices of one booted VM."""

    def __init__(self) -> None:
        self.nodes: dict[str, Config] = {}
        self.kinds: dict[str, str] = {}
        self.counter = 0
        self.slots: dict[int, set[int]] = {}

    def name(self, config: Config) -> None:
        """Give every nameless device its automatic id, which is written back into the config."""
        for kind, prefix in CREATION:
            entries = config[kind]
            for entry in [entries] if isinstance(entries, dict) else entries or []:
                self.name_one(entry, prefix)

    def name_one(self, entry: Config, prefix: str) -> None:
        if entry["id"] is None:
            entry["id"] = f"{prefix}{self.counter}"
            self.counter += 1

    def build(self, config: Config) -> None:
        """Put everything the config holds into its slot."""
        self._plain("__ioapic")
        if config["serial"]["mode"] != "Off":
            self._plain("__serial")
        if config["debug_console"]["mode"] != "Off":
            self._plain("__debug_console")
        for kind in SLOTS:
            for entry in _entries(config, kind):
                self.add(kind, entry)

    def add(self, kind: str, entry: Config) -> str:
        """Place one device; returns its BDF."""
        segment, name = entry.get("pci_segment", 0), entry["id"]
        bdf = f"{segment:04x}:00:{self._slot(segment, entry.get('pci_device_id')):02x}.0"
        self.kinds[name] = kind
        bar = {"index": 0, "base": FIRST_BAR - BAR_SIZE * len(self.nodes), "size": BAR_SIZE,
               "type_": "Mmio32", "prefetchable": False}  # fmt: skip
        resources = [{"PciBar": bar}]
        if kind in NOT_VIRTIO:
            self.nodes[name] = {"id": name, "resources": resources, "children": [], "pci_bdf": bdf}
            return bdf
        transport = f"_virtio-pci-{name}"
        self.nodes[name] = {"id": name, "resources": [], "parent": transport, "children": []}
        self.nodes[transport] = {"id": transport, "resources": resources, "children": [name], "pci_bdf": bdf}
        return bdf

    def remove(self, name: str) -> str:
        """Take a device out; returns the BDF it had."""
        node = self.nodes.pop(name)
        transport = self.nodes.pop(node.get("parent", ""), node)
        bdf: str = transport["pci_bdf"]
        self.slots[int(bdf[:4], 16)].discard(int(bdf[8:10], 16))
        return bdf

    def _plain(self, name: str) -> None:
        self.nodes[name] = {"id": name, "resources": [], "children": []}

    def _slot(self, segment: int, wanted: int | None) -> int:
        taken = self.slots.setdefault(segment, {0})
        slot = (
            wanted if wanted is not None else next(number for number in range(1, 32) if number not in taken)
        )
        taken.add(slot)
        return slot


def _entries(config: Config, kind: str) -> list[Config]:
    if kind == "console" and config["console"]["mode"] == "Off":
        return []
    entries = config[kind]
    if kind in FIXED:
        return [{"id": FIXED[kind], **_placement(entries)}] if entries else []
    return [entries] if isinstance(entries, dict) else entries or []


def _placement(entry: Any) -> Config:
    if not isinstance(entry, dict):
        return {}
    return {"pci_segment": entry["pci_segment"], "pci_device_id": entry["pci_device_id"]}
