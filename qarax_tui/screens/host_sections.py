"""The cards of the host details, each a pure function from what is known to text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual.content import Content

from qarax_tui.client.reading import timestamp
from qarax_tui.screens.format import bar, count, moment, natural, since, size
from qarax_tui.screens.vm_sections import card, line, tone
from qarax_tui.widgets.status import status_text

if TYPE_CHECKING:
    from qarax_tui.client.fleet import Fleet
    from qarax_tui.client.records import Host

_BAR_WIDTH = 16
_FULL = 0.9
_VMS_SHOWN = 12


def state(host: Host | None, body: Mapping[str, Any], now: float) -> Content:
    """Status and why, where it is, when it was last heard of."""
    if host is None:
        return card("State", [Content.styled("It is gone. esc goes back.", "$warning")])
    lines = [line("Status", Content.styled(status_text(host.status), tone(host.status)))]
    if host.status_reason:
        lines.append(line("Because", host.status_reason))
    lines.append(line("Address", f"{host.address}:{host.port}"))
    lines.append(line("SSH user", host.host_user or "–"))
    lines.append(line("Seen", f"{since(host.last_seen_at, now)} ago" if host.last_seen_at else "never"))
    lines += [line("Agent" if not place else "", text) for place, text in enumerate(host.versions)]
    if body.get("created_at"):
        lines.append(line("Registered", moment(timestamp(body["created_at"]), now)))
    lines.append(line("Id", host.id, "$muted"))
    return card("State", lines)


def room(host: Host | None) -> Content:
    """How much of it is promised to VMs."""
    if host is None or not host.memory_bytes:
        return Content("")
    cpus = f"{host.allocated_vcpus} of {host.cpus}"
    memory = f"{size(host.allocated_memory_bytes)} of {size(host.memory_bytes)}"
    return card(
        "Room",
        [
            _share("CPUs", host.allocated_vcpus / host.cpus if host.cpus else 0.0, cpus),
            _share("Memory", host.allocated_memory_bytes / host.memory_bytes, memory),
        ],
    )


def _share(label: str, share: float, words: str) -> Content:
    style = "$warning" if share > _FULL else "$accent"
    return line(
        label, Content.assemble((bar(min(1.0, share), _BAR_WIDTH), style), f" {share:>4.0%}  {words}")
    )


def drivers(body: Mapping[str, Any]) -> Content:
    """What can run VMs there, and why the rest cannot."""
    lines: list[Content] = []
    for row in body.get("drivers") or ():
        if not isinstance(row, dict):
            continue
        name = str(row.get("name") or "").replace("_", " ")
        usable = bool(row.get("usable"))
        facts = [str(row[key]) for key in ("version", "accelerator") if row.get(key)]
        facts += ["stand-in"] if row.get("stand_in") else []
        lines.append(
            Content.assemble(
                ("● " if usable else "✖ ", "$success" if usable else "$error"),
                (name, "bold"),
                (f"  {', '.join(facts)}" if facts else "", "$muted"),
            )
        )
        if row.get("reason"):
            lines.append(Content.styled(f"  {row['reason']}", "$muted"))
    return card("Hypervisors", lines)


def vms(host_id: str, fleet: Fleet) -> Content:
    """How many there are in which status, and the first of them."""
    here = sorted((vm for vm in fleet.vms.values() if vm.host_id == host_id), key=lambda vm: natural(vm.name))
    if not here:
        return card("VMs", [Content.styled("None.", "$muted")])
    counts = Counter(vm.status for vm in here)
    words = Content.styled(
        ", ".join(f"{number} {status}" for status, number in counts.most_common()), "$muted"
    )
    lines = [Content.assemble(count(len(here), "VM"), "  ", words)]
    lines += [
        Content.assemble((f"{status_text(vm.status):<12}", tone(vm.status)), vm.name)
        for vm in here[:_VMS_SHOWN]
    ]
    if len(here) > _VMS_SHOWN:
        lines.append(Content.styled(f"and {len(here) - _VMS_SHOWN} more; v shows all", "$muted"))
    return card("VMs", lines)
