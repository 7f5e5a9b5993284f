"""The cards of the VM details, each a pure function from what is known to text."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from textual.content import Content

from qarax_tui.screens.format import count, moment, since, size, sparkline, took
from qarax_tui.screens.vm_words import doing, driver_words, stands_in
from qarax_tui.widgets.card import Line, labelled, plain, titled
from qarax_tui.widgets.status import TONES, status_text

if TYPE_CHECKING:
    from qarax_tui.client.fleet import Fleet
    from qarax_tui.client.past import Past
    from qarax_tui.client.records import Host, Operation, Vm
    from qarax_tui.screens.samples import Samples

Json = Mapping[str, Any]
Lines = Sequence[Line]
_TONE_STYLES = {"good": "$success", "warn": "$warning", "bad": "$error", "busy": "$accent", "dim": "$muted"}
_FITTING = 12


def tone(status: str) -> str:
    """The theme colour of a status."""
    return _TONE_STYLES.get(TONES.get(status, ""), "$foreground")


def state(vm: Vm | None, body: Json, host: Json | None, fleet: Fleet, now: float) -> Lines:
    """Status, what is going on, host, and what really runs it."""
    if vm is None:
        return titled("State", [plain("It is gone. esc goes back.", "$warning")])
    lines = [labelled("Status", Content.styled(status_text(vm.status), tone(vm.status)))]
    if vm.status_reason:
        lines.append(labelled("Because", vm.status_reason))
    if vm.operation is not None and vm.operation.running:
        lines.append(
            labelled(
                "Now", f"◌ {doing(vm.operation, now)}, asked by {vm.operation.actor or 'someone'}", "$accent"
            )
        )
    if vm.status in {"running", "paused"} and vm.started_at:
        lines.append(labelled("Uptime", since(vm.started_at, now)))
    known = fleet.hosts.get(vm.host_id)
    lines.append(labelled("Host", f"{known.name} ({known.status})" if known else vm.host_id or "–"))
    lines += _driver(vm, known, host)
    lines.append(labelled("Created", moment(vm.created_at, now)))
    if body.get("description"):
        lines.append(labelled("About", str(body["description"])))
    return titled("State", lines)


def unread(problem: str) -> Lines:
    """Why what stands below may be less than there is."""
    return (
        [labelled("Not read", f"{problem} It is asked for again by itself.", "$warning")] if problem else []
    )


def _driver(vm: Vm, known: Host | None, host: Json | None) -> list[Line]:
    if not vm.driver:
        return []
    stand_in = stands_in(vm, known)
    lines = [labelled("Runs on", driver_words(vm, known), "$warning" if stand_in else "")]
    rows = [row for row in (host or {}).get("drivers") or () if isinstance(row, dict)]
    mine = next((row for row in rows if row.get("name") == vm.driver), {})
    if mine.get("version"):
        accelerator = f", {mine['accelerator']}" if mine.get("accelerator") not in {None, "", "none"} else ""
        lines.append(labelled("", f"{vm.driver} {mine['version']}{accelerator}", "$muted"))
    if stand_in and mine.get("reason"):
        lines.append(labelled("", str(mine["reason"]), "$muted"))
    return lines


def spec(vm: Vm | None, body: Json, fleet: Fleet) -> Lines:
    """What was asked for."""
    if vm is None:
        return ()
    cpus = f"{vm.boot_vcpus}" + (f", up to {vm.max_vcpus}" if vm.max_vcpus > vm.boot_vcpus else "")
    source = fleet.boot_sources.get(vm.boot_source_id)
    lines = [
        labelled("vCPUs", cpus),
        labelled("Memory", size(vm.memory_size) + _memory_extras(body)),
        labelled("Boot source", source.name if source else vm.boot_source_id or "the server's default"),
    ]
    if source and source.kernel_params:
        lines.append(labelled("", source.kernel_params, "$muted"))
    grace = body.get("stop_grace_seconds")
    lines.append(
        labelled(
            "Stop",
            f"power button, force after {grace} s"
            if grace is not None
            else "power button, force after the server's default time",
        )
    )
    flags = [word for word in ("autostart", "protected") if body.get(word)]
    if flags:
        lines.append(labelled("Policy", ", ".join(flags)))
    lines.append(labelled("Id", vm.id, "$muted"))
    return titled("Spec", lines)


def _memory_extras(body: Json) -> str:
    kinds = ("hugepages", "shared", "prefault", "mergeable")
    words = [kind for kind in kinds if body.get(f"memory_{kind}")]
    return f" ({', '.join(words)})" if words else ""


def devices(body: Json, fleet: Fleet) -> Lines:
    """Networks and disks."""
    lines: list[Line] = []
    for row in _rows(body, "networks"):
        kind = row.get("interface_type") or "macvtap"
        words = [str(row[name]) for name in ("tap", "parent", "vhost_socket", "mac", "ip") if row.get(name)]
        lines.append(labelled(str(row.get("id") or "net"), f"{kind}  {'  '.join(words)}"))
    for place, row in enumerate(_rows(body, "disks")):
        stored = fleet.storage_objects.get(str(row.get("storage_object_id")))
        name = f"{stored.name}  {size(stored.size_bytes)}" if stored else str(row.get("storage_object_id"))
        extra = "  read-only" if row.get("readonly") else ""
        lines.append(labelled(f"disk{place}", f"{name}  {row.get('image_type') or 'raw'}{extra}"))
    return titled("Devices", lines)


def _rows(body: Json, name: str) -> Sequence[Json]:
    rows = body.get(name)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def load(samples: Samples, vm: Vm | None) -> Lines:
    """CPU, memory, disk and network of the last minutes."""
    if vm is None or vm.status != "running":
        return ()
    if samples.problem and not samples.memory:
        return titled("Load", [plain(samples.problem, "$muted")])
    rows: tuple[tuple[str, deque[float], Callable[[float], str]], ...] = (
        ("CPU", samples.cpu, lambda value: f"{value * 100:.0f} %"),
        ("Memory", samples.memory, lambda value: size(int(value))),
        ("Disk", samples.disk, lambda value: f"{size(int(value))}/s"),
        ("Network", samples.network, lambda value: f"{size(int(value))}/s"),
    )
    lines = [
        labelled(
            label,
            Content.assemble(
                (sparkline(list(series), 24), "$accent"), f"  {words(series[-1]) if series else '–'}"
            ),
        )
        for label, series, words in rows
    ]
    return titled("Load", lines)


def operations(subject_id: str, fleet: Fleet, past: Past, now: float) -> Lines:
    """What was done to an object and what came of it, newest first."""
    found = past.last_operations(fleet, subject_id)
    return titled("Operations", [_operation(one, now) for one in found])


def events(subject_id: str, fleet: Fleet, past: Past, now: float) -> Lines:
    """What happened to an object, newest first."""
    found = past.last_events(fleet, subject_id)
    lines = [labelled(moment(one.occurred_at, now), one.message or one.action) for one in found]
    return titled("Events", lines)


def _operation(one: Operation, now: float) -> Line:
    how = one.reason or one.outcome or one.status
    ended = one.ended_at is not None and one.started_at is not None
    seconds = f"  {took((one.ended_at or 0.0) - (one.started_at or 0.0))}" if ended else ""
    when = labelled(moment(one.started_at, now), "").head
    head = Content.assemble(when, (f"{one.action:<9}", "bold"))
    return Line(head, Content.assemble((how, tone(one.status)), (seconds, "$muted")))


def placement(decision: Json) -> Lines:
    """Why this host."""
    lines = [plain(str(decision["message"]))] if decision.get("message") else []
    return titled("Placement", [*lines, *verdicts(decision)])


def verdicts(decision: Json) -> list[Line]:
    """The hosts that fit, then the others, together where the same speaks against them."""
    hosts = _rows(decision, "hosts")
    fitting = [row for row in hosts if row.get("fits")]
    lines = [_verdict("●", _host(row), _words(row), fits=True) for row in fitting[:_FITTING]]
    if len(fitting) > _FITTING:
        lines.append(_verdict("●", f"and {len(fitting) - _FITTING:,} more", "", fits=True))
    against: dict[str, list[str]] = {}
    for row in hosts:
        if not row.get("fits"):
            against.setdefault(_words(row), []).append(_host(row))
    for words, names in against.items():
        lines.append(_verdict("✖", names[0] if len(names) == 1 else count(len(names), "host"), words))
    return lines


def _verdict(sign: str, name: str, words: str, *, fits: bool = False) -> Line:
    head = Content.styled(f"{sign} ", "$success" if fits else "$error")
    tail = (f"  {words}" if words else "", "$muted")
    return Line(head, Content.assemble((name, "bold" if fits else ""), tail))


def _host(row: Json) -> str:
    return str(row.get("host_name") or row.get("host_id"))


def _words(row: Json) -> str:
    """The room on a host that fits, else the rules that say no."""
    rules, fits = _rows(row, "rules"), bool(row.get("fits"))
    told = [rule for rule in rules if (rule.get("rule") == "memory" if fits else not rule.get("passed"))]
    return "; ".join(_rule(rule) for rule in told)


def _rule(rule: Json) -> str:
    needed, available = rule.get("needed"), rule.get("available")
    if rule.get("rule") == "memory" and isinstance(needed, int) and isinstance(available, int):
        return f"{size(needed)} needed, {size(available)} free"
    return str(rule.get("message") or rule.get("rule"))
