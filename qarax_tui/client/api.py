"""The REST calls of the dashboard, one method each; the contract is docs/interfaces.md and the OpenAPI file.

    async with Api("http://127.0.0.1:8000", token) as api:
        vm_id = await api.create_vm({...})
        await api.start_vm(vm_id)

Answers come back through `sanitise`; refusals are `ApiError`, silence is `ServerAway`, both with sentences
for the operator. Redirects are never followed and a token never travels unencrypted beyond this machine.
With `read_only` set nothing but GET leaves. `actions` remembers what was sent, for the action log.
How one request is made is in `transport`; the event stream and the console are in `fleet` and `console`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

from . import reading, records
from .errors import ApiError
from .records import Json, Noun
from .transport import Transport

LISTS: Mapping[Noun, str] = {
    "vm": "/vms",
    "host": "/hosts",
    "storage_pool": "/storage-pools",
    "storage_object": "/storage-objects",
    "boot_source": "/boot-sources",
    "operation": "/operations",
    "orphan": "/orphans",
}
ACTION_SECONDS = 60.0
LONGEST_STOP_SECONDS = 3_600.0
NOT_FOUND = 404


class Api(Transport):
    """Every call an operator's keys can cause. Bodies are as the contract has them, ids are strings."""

    # --- reading -----------------------------------------------------------------------------------------

    async def pages(self, noun: Noun, limit: int = 200, **filters: str) -> AsyncIterator[list[Json]]:
        """The whole list of a noun, a page at a time, oldest first; transfers pool by pool."""
        paths = [LISTS[noun]] if noun in LISTS else []
        if noun == "transfer":
            pools = [row async for page in self.pages("storage_pool") for row in page]
            paths = [f"/storage-pools/{pool.get('id')}/transfers" for pool in pools]
        for first in paths:
            path: str | None = first
            query: dict[str, str] | None = {"limit": str(limit), **filters}
            while path:
                page, path = await self.get_page(path, query)
                query = None
                yield page

    async def get(self, noun: Noun, identifier: str) -> Json:
        """One resource, whole."""
        if noun == "orphan":
            return await self._orphan(identifier)
        return await self.get_object(f"{LISTS[noun]}/{identifier}")

    async def metrics(self, vm_id: str) -> Json:
        """`{vm_id, status, counters, memory_actual_size}`."""
        return await self.get_object(f"/vms/{vm_id}/metrics")

    async def placement(self, vm_id: str) -> Json:
        """Why the VM is where it is: every host, every rule, the numbers."""
        return await self.get_object(f"/vms/{vm_id}/placement")

    async def events(self, after: int = 0, limit: int = 200, **filters: str) -> list[records.Event]:
        """A page of the flight recorder with sequence numbers above `after`."""
        rows, _ = await self.get_page("/events", {"after": str(after), "limit": str(limit), **filters})
        return [reading.event(row) for row in rows]

    async def event(self, sequence: int) -> Json:
        """One row of the flight recorder, whole, with the resource before and after."""
        rows, _ = await self.get_page("/events", {"after": str(sequence - 1), "limit": "1"})
        if not rows or rows[0].get("sequence") != sequence:
            raise ApiError(f"The server no longer keeps event {sequence}.", 404)
        return rows[0]

    async def ready(self) -> bool:
        """Whether `/readyz` says that changes are accepted."""
        answer = await self.request("GET", "/readyz", accept_any_status=True)
        return answer.status == 200  # noqa: PLR2004 - HTTP OK

    # --- VMs ---------------------------------------------------------------------------------------------

    async def create_vm(self, body: Json) -> str:
        """Creates a VM and returns its id."""
        return await self._create("/vms", body)

    async def dry_run_vm(self, body: Json) -> Json:
        """The placement verdicts for a VM that is not created; ApiError 422 carries the field messages."""
        return await self._post_object("/vms?dry_run=true", body, quiet=True)

    async def update_vm(self, vm_id: str, body: Json) -> None:
        """Changes the given fields."""
        await self.request("PATCH", f"/vms/{vm_id}", body)

    async def start_vm(self, vm_id: str) -> None:
        """Returns when the VM runs."""
        await self._act(f"/vms/{vm_id}/start")

    async def stop_vm(self, vm_id: str, grace: int | None = None) -> None:
        """Returns when the VM is off; `grace` seconds until it is forced, 0 at once, None as configured."""
        query = "" if grace is None else f"?grace={grace}"
        await self._act(f"/vms/{vm_id}/stop{query}", LONGEST_STOP_SECONDS + ACTION_SECONDS)

    async def pause_vm(self, vm_id: str) -> None:
        """Returns when the VM is paused."""
        await self._act(f"/vms/{vm_id}/pause")

    async def resume_vm(self, vm_id: str) -> None:
        """Returns when the VM runs again."""
        await self._act(f"/vms/{vm_id}/resume")

    async def reboot_vm(self, vm_id: str) -> None:
        """Returns when the guest was told to reboot."""
        await self._act(f"/vms/{vm_id}/reboot")

    async def delete_vm(self, vm_id: str, *, force: bool = False) -> None:
        """Deletes a VM; `force` also when its host is away."""
        await self._delete(f"/vms/{vm_id}", force=force)

    # --- hosts -------------------------------------------------------------------------------------------

    async def create_host(self, body: Json) -> str:
        """Registers a host and returns its id; nothing is contacted yet."""
        return await self._create("/hosts", body)

    async def update_host(self, host_id: str, body: Json) -> None:
        """Changes the given fields; `{"status": "up"}` admits, `{"status": "down"}` takes out."""
        await self.request("PATCH", f"/hosts/{host_id}", body)

    async def delete_host(self, host_id: str) -> None:
        """Forgets a host without VMs."""
        await self._delete(f"/hosts/{host_id}")

    async def deploy_host(self, host_id: str, body: Json) -> Json:
        """Starts a deployment; its operation comes through the event stream."""
        return await self._post_object(f"/hosts/{host_id}/deploy", body)

    # --- orphans -----------------------------------------------------------------------------------------

    async def _orphan(self, vm_id: str) -> Json:
        async for page in self.pages("orphan"):
            for row in page:
                if row.get("vm_id") == vm_id:
                    return row
        raise ApiError("It is no orphan any more.", NOT_FOUND)

    async def adopt_orphan(self, host_id: str, vm_id: str, *, name: str = "") -> None:
        """Makes it a VM again, called `name` where its own is taken."""
        query = f"?{urlencode({'name': name})}" if name else ""
        await self._act(f"/hosts/{host_id}/orphans/{vm_id}/adopt{query}")

    async def ignore_orphan(self, host_id: str, vm_id: str) -> None:
        """Leaves it as it is, and says so."""
        await self._act(f"/hosts/{host_id}/orphans/{vm_id}/ignore")

    async def delete_orphan(self, host_id: str, vm_id: str) -> None:
        """Ends it and deletes it from its node."""
        await self._delete(f"/hosts/{host_id}/orphans/{vm_id}")

    # --- storage and boot sources ------------------------------------------------------------------------

    async def create_storage_pool(self, body: Json) -> str:
        """Registers a pool and returns its id."""
        return await self._create("/storage-pools", body)

    async def delete_storage_pool(self, pool_id: str) -> None:
        """Forgets an unused pool."""
        await self._delete(f"/storage-pools/{pool_id}")

    async def create_storage_object(self, body: Json) -> str:
        """Registers a file in a pool and returns its id."""
        return await self._create("/storage-objects", body)

    async def delete_storage_object(self, object_id: str, *, delete_file: bool = False) -> None:
        """Forgets an unused object, its file too when asked."""
        await self._delete(f"/storage-objects/{object_id}", delete_file=delete_file)

    async def create_transfer(self, pool_id: str, body: Json) -> str:
        """Starts a transfer into a pool and returns its id."""
        answer = await self._post_object(f"/storage-pools/{pool_id}/transfers", body)
        return str(answer.get("id", ""))

    async def cancel_transfer(self, pool_id: str, transfer_id: str) -> None:
        """Ends a transfer; it becomes failed and keeps nothing."""
        await self._act(f"/storage-pools/{pool_id}/transfers/{transfer_id}/cancel")

    async def create_disk(self, pool_id: str, body: Json) -> Json:
        """Makes a blank disk or a clone."""
        return await self._post_object(f"/storage-pools/{pool_id}/disks", body)

    async def create_boot_source(self, body: Json) -> str:
        """Registers a boot source and returns its id."""
        return await self._create("/boot-sources", body)

    async def delete_boot_source(self, boot_source_id: str) -> None:
        """Forgets an unused boot source."""
        await self._delete(f"/boot-sources/{boot_source_id}")

    # --- operations --------------------------------------------------------------------------------------

    async def cancel_operation(self, operation_id: str) -> None:
        """Asks a running operation to end early."""
        await self._act(f"/operations/{operation_id}/cancel")

    # --- how -----------------------------------------------------------------------------------------------

    async def _create(self, path: str, body: Json) -> str:
        return (await self.request("POST", path, body)).text.strip()

    async def _post_object(self, path: str, body: Json, *, quiet: bool = False) -> Json:
        answer = (await self.request("POST", path, body, quiet=quiet)).json()
        return answer if isinstance(answer, dict) else {}

    async def _act(self, path: str, seconds: float = ACTION_SECONDS) -> None:
        await self.request("POST", path, seconds=seconds)

    async def _delete(self, path: str, **flags: bool) -> None:
        query = "&".join(f"{name}=true" for name, on in flags.items() if on)
        await self.request("DELETE", f"{path}?{query}" if query else path, seconds=ACTION_SECONDS)


def details_path(noun: Noun, body: Mapping[str, Any]) -> str:
    """The path of a resource's GET, for copying; a transfer's needs its pool."""
    if noun == "transfer":
        return f"/storage-pools/{body['storage_pool_id']}/transfers/{body['id']}"
    if noun == "orphan":
        return LISTS[noun]
    return f"{LISTS[noun]}/{body['id']}"
