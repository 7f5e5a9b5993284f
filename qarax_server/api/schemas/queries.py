"""Query strings: paging, filters and the switches of single routes."""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, ValidationError, fields, validate, validates_schema

from qarax_server.api.schemas.base import Query
from qarax_server.api.schemas.fields import MAX_INTEGER, Choice, Id, Name, QueryFlag, QueryWhole, Text
from qarax_server.api.schemas.hosts import HOST_STATUSES
from qarax_server.api.schemas.operations import EVENT_SUBJECTS, OPERATION_STATUSES
from qarax_server.api.schemas.storage import OBJECT_TYPES, POOL_STATUSES, TRANSFER_STATUSES
from qarax_server.api.schemas.vms import VM_STATUSES

LONGEST_PAGE = 1000
SORTS = ("created_at", "-created_at", "name", "-name")


class AnyQuery(Query):
    """Query strings that nobody looks at."""

    class Meta:
        """Whatever it says is left alone."""

        unknown = EXCLUDE


class Page(Query):
    """What every list takes: paging by key, order, a name; without a limit the whole array is answered."""

    limit = QueryWhole(
        1, LONGEST_PAGE, load_default=None, metadata={"description": "Answer a page this long."}
    )
    cursor = Text(
        longest=1024, load_default=None, metadata={"description": "From the Link header of the page before."}
    )
    sort = Choice(*SORTS, load_default="created_at", metadata={"description": "`-` sorts downwards."})
    name = Text(longest=255, load_default=None, metadata={"description": "Only the one of this name."})


class ListHosts(Page):
    """What `GET /hosts` takes."""

    status = Choice(*HOST_STATUSES, load_default=None)


class ListStoragePools(Page):
    """What `GET /storage-pools` takes."""

    status = Choice(*POOL_STATUSES, load_default=None)
    host_id = Id(load_default=None)


class ListStorageObjects(Page):
    """What `GET /storage-objects` takes."""

    pool_id = Id(load_default=None)
    object_type = Choice(*OBJECT_TYPES, load_default=None)


class ListTransfers(Page):
    """What `GET …/transfers` takes."""

    status = Choice(*TRANSFER_STATUSES, load_default=None)
    object_type = Choice(*OBJECT_TYPES, load_default=None)


class ListVms(Page):
    """What `GET /vms` takes."""

    status = Choice(*VM_STATUSES, load_default=None)
    host_id = Id(load_default=None)


class ListOrphans(Page):
    """What `GET /orphans` takes."""

    status = Choice(*VM_STATUSES, load_default=None)
    host_id = Id(load_default=None)
    ignored = QueryFlag(load_default=None, metadata={"description": "Only those that are, or are not."})


class AdoptOrphan(Query):
    """What `POST …/orphans/{vm_id}/adopt` takes."""

    name = Name(load_default=None, metadata={"description": "Its name from now on; without it, its own."})


class ListOperations(Page):
    """What `GET /operations` takes; `name` is its subject's."""

    sort = Choice(*SORTS, load_default="-created_at", metadata={"description": "`-` sorts downwards."})
    status = Choice(*OPERATION_STATUSES, load_default=None)
    subject_id = Id(load_default=None)


class ListEvents(Query):
    """What `GET /events` takes."""

    after = QueryWhole(0, MAX_INTEGER, load_default=None, metadata={"description": "Only later ones."})
    limit = QueryWhole(1, LONGEST_PAGE, load_default=LONGEST_PAGE)
    subject_id = Id(load_default=None)
    subject_type = Choice(*EVENT_SUBJECTS, load_default=None)


class DeleteStorageObject(Query):
    """What `DELETE /storage-objects/{object_id}` takes."""

    delete_file = QueryFlag(load_default=False, metadata={"description": "Remove the file too."})


class CreateVm(Query):
    """What `POST /vms` takes."""

    dry_run = QueryFlag(load_default=False, metadata={"description": "Answer the placement, create nothing."})


class DeleteVm(Query):
    """What `DELETE /vms/{vm_id}` takes."""

    force = QueryFlag(
        load_default=False,
        metadata={"description": "Remove the record although the host is away; its node is told later."},
    )


class StopVm(Query):
    """What `POST /vms/{vm_id}/stop` takes."""

    grace = QueryWhole(0, 3600, load_default=None, metadata={"description": "Seconds; 0: hard at once."})


class ReadConsole(Query):
    """What `GET /vms/{vm_id}/console` takes."""

    tail = QueryWhole(0, 1_000_000, load_default=None, metadata={"description": "Begin so many lines back."})
    # "from" is a word of Python, and the field's name in the contract
    from_offset = QueryWhole(
        0, MAX_INTEGER, load_default=None, data_key="from", metadata={"description": "Begin at this byte."}
    )
    oldest = fields.String(
        load_default=None,
        validate=validate.OneOf(("", "true")),
        metadata={"description": "Begin at the oldest byte kept."},
    )
    follow = QueryFlag(
        load_default=None,
        metadata={"description": "Go on with what the guest writes; without it only a WebSocket does."},
    )

    @validates_schema
    def check_one_start(self, data: dict[str, Any], **_: Any) -> None:
        """One place to begin at."""
        given = [name for name in ("tail", "from_offset", "oldest") if data[name] is not None]
        if len(given) > 1:
            raise ValidationError("One of from, tail and oldest.", given[0])
