"""Answers about VMs that a node has and nobody here knows."""

from __future__ import annotations

from qarax_server.api.schemas.base import Answer
from qarax_server.api.schemas.fields import Choice, Flag, Id, Name, Time
from qarax_server.api.schemas.hosts import HOST_ID
from qarax_server.api.schemas.vms import VM_ID, VM_STATUSES


class Orphan(Answer):
    """A VM that a node has and nobody here knows."""

    vm_id = Id(metadata={"example": VM_ID})
    host_id = Id(metadata={"example": HOST_ID})
    name = Name(metadata={"example": "web-1"})
    status = Choice(*VM_STATUSES, metadata={"example": "running"})
    ignored = Flag(metadata={"example": False})
    first_seen_at = Time()
