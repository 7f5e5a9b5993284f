"""Records out of JSON: whole ones, hostile ones, and strings that are safe wherever they end up."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qarax_tui.client import reading
from qarax_tui.client.records import NOUNS, Operation, Transfer
from qarax_tui.client.sanitise import MAX_TEXT, UNSAFE, safe, safe_json
from tests.fakes.resources import new_resource

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in strings(item)]
    return [text for item in value for text in strings(item)] if isinstance(value, list) else []


@given(JSON)
def test_no_answer_holds_an_unsafe_string(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        found = safe_json(text.encode("utf-8", "surrogatepass"))
        assert not any(UNSAFE.search(string.replace("\n", "")) for string in strings(found))
        assert found is None or type(found) is type(value)


@given(st.text())
def test_a_safe_string_is_one_printable_line(text: str) -> None:
    shown = safe(text)
    assert not UNSAFE.search(shown)
    shown.encode()
    if not UNSAFE.search(text):
        assert shown == text


def test_long_strings_are_cut_visibly() -> None:
    assert safe("x" * 10_000, limit=10) == "x" * 9 + "…"
    assert safe("a\nb") == "a␊b"
    assert safe("a\nb", newlines=True) == "a\nb"


@pytest.mark.parametrize("noun", NOUNS)
def test_a_whole_resource_fills_its_record(noun: str) -> None:
    body = new_resource(noun, name="n", subject_name="n")
    record = reading.record(noun, body)
    assert record.id == body["id"]
    assert all(hasattr(record, field.name) for field in fields(record))


@settings(suppress_health_check=[HealthCheck.too_slow])  # of a busy machine
@given(st.sampled_from(NOUNS), st.data())
def test_hostile_fields_become_empty_ones(noun: str, data: st.DataObject) -> None:
    body = {field: data.draw(JSON) for field in new_resource(noun)}
    record = reading.record(noun, safe_json(json.dumps(body)))
    hash(record)
    assert isinstance(record.id, str)
    assert len(record.id) <= MAX_TEXT
    reading.event({"before": body, "after": body, "sequence": "x", "subject_id": []})


def test_times_progress_and_networks() -> None:
    assert reading.timestamp("2026-11-22T10:00:00.5+00:00") == reading.timestamp("2026-11-22T10:00:00.500Z")
    assert reading.timestamp("yesterday") is None
    for progress, fraction in (
        ({"done": 1, "total": 4}, 0.25),
        ({"fraction": 2}, 1.0),
        (0.5, 0.5),
        ({}, None),
    ):
        operation = reading.record("operation", {"progress": progress})
        assert isinstance(operation, Operation)
        assert operation.progress == fraction
    transfer = reading.record("transfer", {"status": "running", "total_bytes": 10, "transferred_bytes": 5})
    assert isinstance(transfer, Transfer)
    assert transfer.fraction == 0.5
    vm = reading.vm({"networks": [{"id": "net0", "tap": "tap3"}, {"id": "net1"}, 7]})
    assert vm.networks == ("net0=tap3", "net1")


def test_an_event_tells_what_differs() -> None:
    before = new_resource("vm", status="running", status_reason=None)
    after = {**before, "status": "shutdown", "status_reason": "the guest powered off", "networks": [1]}
    event = reading.event({"before": before, "after": after})
    assert event.changes == ("status: running → shutdown", "status_reason: none → the guest powered off")
