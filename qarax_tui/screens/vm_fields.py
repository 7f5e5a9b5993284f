"""The fields of a VM, shared by the create and the edit form, and what they become in a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from qarax_tui.screens import rules
from qarax_tui.screens.form import Field
from qarax_tui.screens.format import size

if TYPE_CHECKING:
    from qarax_tui.client.fleet import Fleet

Json = Mapping[str, Any]

DEFAULT_MEMORY: Final = "512MiB"
KEEP: Final = "keep"
NETWORKS: Final = (("none", ""), ("tap made by the node", "tap"), ("macvtap on the host's own", "macvtap"))
POLICIES: Final = (
    ("start it after a reboot of its host", "autostart"),
    ("protected: refuse its deletion", "protected"),
)


def words(base: Json, name: str) -> list[Field]:
    """What can be changed at any time: name, stop grace, policies, description."""
    ticked = " ".join(policy for _, policy in POLICIES if base.get(policy))
    grace = base.get("stop_grace_seconds")
    return [
        Field("name", "Name", rules.name, name, hint="letters, digits, . _ -"),
        Field("stop_grace_seconds", "Stop grace", rules.grace, "" if grace is None else str(grace),
              hint="seconds; empty: the server's"),
        Field("policy", "Policy", str.split, ticked, choices=POLICIES, many=True),
        Field("description", "Description", rules.optional, str(base.get("description") or "")),
    ]  # fmt: skip


def shape(fleet: Fleet, base: Json) -> list[Field]:
    """What can be changed only while nothing runs: size, boot source, networks, disks."""
    boot = [(source.name, source.id) for source in fleet.boot_sources.values()]
    memory = size(base["memory_size"]).replace(" ", "") if base.get("memory_size") else DEFAULT_MEMORY
    return [
        Field("boot_vcpus", "vCPUs", rules.cpus, str(base.get("boot_vcpus") or 1), hint="at boot"),
        Field("max_vcpus", "Max vCPUs", _maybe_cpus, str(base.get("max_vcpus") or ""), hint="empty: same"),
        Field("memory_size", "Memory", rules.memory, memory, hint="512MiB, 2GiB"),
        _boot_source(boot or [("the server's default", "")], base),
        *_network(base),
        *_disks(fleet, base),
    ]


def driver(fleet: Fleet) -> Field:
    """Which hypervisor it may be placed on."""
    names = sorted({name for host in fleet.hosts.values() for name in host.drivers})
    choices = [("any that fits", ""), *((name.replace("_", " "), name) for name in names)]
    return Field("driver", "Runs on", str, "", choices=choices)


def _boot_source(choices: Sequence[tuple[str, str]], base: Json) -> Field:
    chosen = str(base.get("boot_source_id") or choices[0][1])
    return Field("boot_source_id", "Boot source", rules.optional, chosen, choices=choices)


def _network(base: Json) -> Iterable[Field]:
    kept = [str(row.get("id") or "net") for row in base.get("networks") or ()]
    choices = [(f"as it is: {', '.join(kept)}", KEEP), *NETWORKS] if kept else NETWORKS
    yield Field("networks", "Network", str, KEEP if kept else "", choices=choices)
    yield Field("tap", "Tap name", rules.tap, hint="one that exists; empty: made")


def _disks(fleet: Fleet, base: Json) -> Iterable[Field]:
    """No field where there is no disk to choose."""
    stored = sorted(fleet.storage_objects.values(), key=lambda one: one.name)
    choices = [(f"{one.name}  {size(one.size_bytes)}", one.id) for one in stored if one.object_type == "disk"]
    ticked = " ".join(str(row.get("storage_object_id")) for row in base.get("disks") or ())
    if choices:
        yield Field("disks", "Disks", str.split, ticked, choices=choices, many=True, hint="space ticks")


def _maybe_cpus(text: str) -> int | None:
    return rules.cpus(text) if text.strip() else None


def request(values: Json, base: Json) -> dict[str, Any]:
    """What the fields say in the contract's terms; a field the form did not have is not there."""
    said = {name: value for name, value in values.items() if name not in {"tap", "policy"}}
    if "policy" in values:
        said |= {policy: policy in values["policy"] for _, policy in POLICIES}
    if "boot_vcpus" in values:
        said["max_vcpus"] = values["max_vcpus"] or values["boot_vcpus"]
    if "networks" in values:
        said["networks"] = _networks(values, base)
    if "disks" in values:
        before = {row.get("storage_object_id"): row for row in base.get("disks") or ()}
        said["disks"] = [before.get(one) or _disk(one) for one in values["disks"]]
    return said


def _networks(values: Json, base: Json) -> list[Any]:
    kind = values["networks"]
    if kind == KEEP:
        return list(base.get("networks") or ())
    if not kind:
        return []
    tap = {"tap": values["tap"]} if kind == "tap" and values["tap"] else {}
    return [{"id": "net0", "interface_type": kind, **tap}]


def _disk(object_id: str) -> dict[str, Any]:
    return {"storage_object_id": object_id, "image_type": "raw", "readonly": False}
