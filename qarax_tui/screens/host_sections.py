"""The cards of the host details, each a pure function from what is known to text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual.content import Content

from qarax_tui.client.reading import timestamp
from qarax_tui.screens.format import bar, count, moment, natural, since, size
from qarax_tui.screens.vm_sections import Lines, tone
from qarax_tui.widgets.card import Line, labelled, plain, titled
from qarax_tui.widgets.status import status_text

if TYPE_CHECKING:
    from qarax_tui.client.fleet import Fleet
    from qarax_tui.client.records import Host

_BAR_WIDTH = 16
_FULL = 0.9
_VMS_SHOWN = 12


def state(host: Host | None, body: Mapping[str, Any], now: float) -> Lines:
    """Status and why, where it is, when it was last heard of."""
    if host is None:
        return titled("State", [plain("It is gone. esc goes back.", "$warning")])
    lines = [labelled("Status", Content.styled(status_text(host.status), tone(host.status)))]
    if host.status_reason:
        lines.append(labelled("Because", host.status_reason))
    lines.append(labelled("Address", f"{host.address}:{host.port}"))
    lines.append(labelled("SSH user", host.host_user or "–"))
    ago = f"{since(host.last_seen_at, now)} ago" if host.last_seen_at else "never"
    lines.append(labelled("Seen", "now" if host.answers else ago))
    lines += [labelled("Agent" if not place else "", text) for place, text in enumerate(host.versions)]
    if body.get("created_at"):
        lines.append(labelled("Registered", moment(timestamp(body["created_at"]), now)))
    lines.append(labelled("Id", host.id, "$muted"))
    return titled("State", lines)


def room(host: Host | None) -> Lines:
    """How much of it is promised to VMs."""
    if host is None or not host.memory_bytes:
        return ()
    cpus = f"{host.allocated_vcpus} of {host.cpus}"
    memory = f"{size(host.allocated_memory_bytes)} of {size(host.memory_bytes)}"
    return titled(
        "Room",
        [
            _share("CPUs", host.allocated_vcpus / host.cpus if host.cpus else 0.0, cpus),
            _share("Memory", host.allocated_memory_bytes / host.memory_bytes, memory),
        ],
    )


def _share(label: str, share: float, words: str) -> Line:
    style = "$warning" if share > _FULL else "$accent"
    return labelled(
        label, Content.assemble((bar(min(1.0, share), _BAR_WIDTH), style), f" {share:>4.0%}  {words}")
    )


def drivers(body: Mapping[str, Any]) -> Lines:
    """What can run VMs there, and why the rest cannot."""
    lines: list[Line] = []
    for row in body.get("drivers") or ():
        if not isinstance(row, dict):
            continue
        name = str(row.get("name") or "").replace("_", " ")
        usable = bool(row.get("usable"))
        known = [str(row.get(key) or "none") for key in ("version", "accelerator")]
        facts = [fact for fact in known if fact != "none"]
        facts += ["stand-in"] if row.get("stand_in") else []
        sign = Content.styled("● ", "$success") if usable else Content.styled("✖ ", "$error")
        words = (f"  {', '.join(facts)}" if facts else "", "$muted")
        lines.append(Line(sign, Content.assemble((name, "bold"), words)))
        if row.get("reason"):
            lines.append(Line(Content("  "), Content.styled(str(row["reason"]), "$muted")))
    return titled("Hypervisors", lines)


def vms(host_id: str, fleet: Fleet, key: str) -> Lines:
    """How many there are in which status, and the first of them; `key` shows them all."""
    here = sorted((vm for vm in fleet.vms.values() if vm.host_id == host_id), key=lambda vm: natural(vm.name))
    if not here:
        return titled("VMs", [plain("None.", "$muted")])
    counts = Counter(vm.status for vm in here)
    words = Content.styled(
        ", ".join(f"{number} {status}" for status, number in counts.most_common()), "$muted"
    )
    lines = [plain(Content.assemble(count(len(here), "VM"), "  ", words))]
    lines += [
        Line(Content.styled(f"{status_text(vm.status):<12}", tone(vm.status)), Content(vm.name))
        for vm in here[:_VMS_SHOWN]
    ]
    if len(here) > _VMS_SHOWN:
        lines.append(plain(f"and {len(here) - _VMS_SHOWN} more; {key} shows all", "$muted"))
    return titled("VMs", lines)
