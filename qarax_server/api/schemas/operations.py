"""Answers about operations and events, and the one shape of errors."""

from __future__ import annotations

from marshmallow import fields

from qarax_server.api.schemas.base import Answer
from qarax_server.api.schemas.fields import MAX_INTEGER as MOST
from qarax_server.api.schemas.fields import Choice, Flag, FreeObject, Id, Time, Whole

OPERATION_SUBJECTS = ("vm", "host", "storage_pool", "storage_object", "transfer")
OPERATION_STATUSES = ("running", "succeeded", "failed", "cancelled")
EVENT_SUBJECTS = (
    "host",
    "vm",
    "storage_pool",
    "storage_object",
    "boot_source",
    "transfer",
    "operation",
    "orphan",
    "token",
)
OPERATION_ID = "15fd0627-8091-42a3-aeb5-c6d7e8f90a1b"
REQUEST_ID = "2c1f0d3e4b5a69788796a5b4c3d2e1f0"
SUBJECT_ID = "a3f1c2d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d"


class RunningOperation(Answer):
    """The operation under way on a VM."""

    id = Id(metadata={"example": OPERATION_ID})
    action = fields.String(metadata={"example": "stop"})
    status = Choice(*OPERATION_STATUSES, metadata={"example": "running"})
    started_at = Time()
    deadline_at = Time(allow_none=True)
    progress = FreeObject(allow_none=True, metadata={"example": None})
    actor = fields.String(metadata={"example": "local"})


class Operation(Answer):
    """One action in flight or finished: who asked, how it ended and why."""

    id = Id(metadata={"example": OPERATION_ID})
    subject_type = Choice(*OPERATION_SUBJECTS, metadata={"example": "vm"})
    subject_id = Id(metadata={"example": SUBJECT_ID})
    subject_name = fields.String(metadata={"example": "web-1"})
    action = fields.String(metadata={"example": "stop"})
    status = Choice(*OPERATION_STATUSES, metadata={"example": "succeeded"})
    actor = fields.String(metadata={"example": "local"})
    request_id = fields.String(metadata={"example": REQUEST_ID})
    parameters = FreeObject(metadata={"example": {"grace_seconds": 30}})
    progress = FreeObject(allow_none=True, metadata={"example": None})
    outcome = fields.String(allow_none=True, metadata={"example": "obeyed"})
    reason = fields.String(allow_none=True, metadata={"example": "the guest obeyed after 0.9 s"})
    cancel_requested = Flag(metadata={"example": False})
    started_at = Time()
    deadline_at = Time(allow_none=True)
    ended_at = Time(allow_none=True)
    updated_at = Time()


class Event(Answer):
    """One row of the flight recorder; before and after are the whole resource as its GET gives it."""

    sequence = Whole(1, MOST, metadata={"example": 42})
    occurred_at = Time()
    action = fields.String(metadata={"example": "start"})
    actor = fields.String(metadata={"example": "local"})
    request_id = fields.String(metadata={"example": REQUEST_ID})
    subject_type = Choice(*EVENT_SUBJECTS, metadata={"example": "vm"})
    subject_id = Id(metadata={"example": SUBJECT_ID})
    subject_name = fields.String(metadata={"example": "web-1"})
    before = FreeObject(allow_none=True, metadata={"example": {"status": "created"}})
    after = FreeObject(allow_none=True, metadata={"example": {"status": "running"}})
    message = fields.String(metadata={"example": "web-1 is running"})


class Error(Answer):
    """What every refusal and failure looks like."""

    may_be_left_out = ("errors", "operation", "placement")

    message = fields.String(metadata={"example": "name: a VM of this name exists: choose another name"})
    errors = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        metadata={
            "example": {"name": ["a VM of this name exists: choose another name"]},
            "description": "One list of sentences per field at fault; left out when no field is.",
        },
    )
    code = fields.String(metadata={"example": "vms_name_taken", "description": "Stable, for programs."})
    request_id = fields.String(metadata={"example": REQUEST_ID})
    operation = FreeObject(metadata={"example": None, "description": "The operation in the way, if any."})
    placement = FreeObject(metadata={"example": None, "description": "Why no host fits, if that is it."})
