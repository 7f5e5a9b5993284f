"""Storage pools, objects and boot sources: rows, references, refusals. No node is up here."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from qarax_server.api import schemas
from tests.server.api.conftest import Client, create, get


async def test_a_pool_is_created_read_listed_and_deleted(api: Client) -> None:
    body = {"name": "images", "pool_type": "local", "config": {"path": "/srv/images"}}
    async with api.post("/storage-pools", json=body) as response:
        pool_id = await response.text()
        assert response.status == 201
        assert response.headers["Location"] == f"/storage-pools/{pool_id}"
        assert response.headers["x-request-id"]
    pool = await get(api, f"/storage-pools/{pool_id}")
    schemas.StoragePool().load(pool)
    assert {name: pool[name] for name in body} == body
    assert await get(api, "/storage-pools") == [pool]
    async with api.delete(f"/storage-pools/{pool_id}") as response:
        assert (response.status, await response.text()) == (204, "")
    async with api.get(f"/storage-pools/{pool_id}") as response:
        assert response.status == 404
        assert (await response.json())["code"] == "no_such_storage_pool"


async def test_a_client_that_prefers_it_gets_the_resource(api: Client) -> None:
    body = {"name": "images", "pool_type": "nfs"}
    headers = {"Prefer": "respond-async, return=representation"}
    async with api.post("/storage-pools", json=body, headers=headers) as response:
        pool = await response.json()
        assert response.headers["Preference-Applied"] == "return=representation"
    assert pool["config"] == {"path": "/var/lib/qarax/pools/images"}
    assert pool == await get(api, f"/storage-pools/{pool['id']}")


async def test_a_body_counts_whatever_its_content_type(api: Client) -> None:
    data = b'{"name": "images", "pool_type": "local", "host_id": null}'
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with api.post("/storage-pools", data=data, headers=headers) as response:
        assert response.status == 201


async def test_a_taken_name_is_a_conflict_on_its_field(api: Client, pool_id: str) -> None:
    async with api.post("/storage-pools", json={"name": "images", "pool_type": "local"}) as response:
        answer = await response.json()
    assert (response.status, answer["code"]) == (409, "storage_pools_name_taken")
    assert list(answer["errors"]) == ["name"]
    assert pool_id


async def test_an_unknown_host_is_named_as_the_field_at_fault(api: Client) -> None:
    body = {"name": "p", "pool_type": "local", "host_id": "a3f1c2d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d"}
    async with api.post("/storage-pools", json=body) as response:
        assert (response.status, list((await response.json())["errors"])) == (422, ["host_id"])


def an_object(pool_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": "vmlinux",
        "storage_pool_id": pool_id,
        "object_type": "kernel",
        "size_bytes": 42,
    } | fields


async def test_an_object_counts_in_its_pool_and_keeps_it_from_deletion(api: Client, pool_id: str) -> None:
    object_id = await create(api, "/storage-objects", an_object(pool_id))
    found = await get(api, f"/storage-objects/{object_id}")
    schemas.StorageObject().load(found)
    assert found["config"] == {"path": "/srv/images/vmlinux"}
    assert (await get(api, f"/storage-pools/{pool_id}"))["allocated_bytes"] == 42
    async with api.delete(f"/storage-pools/{pool_id}") as response:
        answer = await response.json()
    assert (response.status, answer["code"]) == (409, "in_use")
    assert "storage object vmlinux" in answer["message"]
    async with api.delete(f"/storage-objects/{object_id}") as response:
        assert response.status == 204
    assert (await get(api, f"/storage-pools/{pool_id}"))["allocated_bytes"] == 0


@pytest.mark.parametrize("path", ["/srv/other/x", "/srv/images", "/srv/images-2/x"])
async def test_a_path_outside_its_pool_is_refused(api: Client, pool_id: str, path: str) -> None:
    async with api.post("/storage-objects", json=an_object(pool_id, config={"path": path})) as response:
        answer = await response.json()
    assert (response.status, answer["code"]) == (422, "path_outside_pool")
    assert list(answer["errors"]) == ["config.path"]


async def test_deleting_a_file_needs_a_host(api: Client, pool_id: str) -> None:
    object_id = await create(api, "/storage-objects", an_object(pool_id))
    async with api.delete(f"/storage-objects/{object_id}", params={"delete_file": "true"}) as response:
        assert response.status == 503
        assert response.headers["Retry-After"]
    assert await get(api, f"/storage-objects/{object_id}")


async def test_a_file_that_two_objects_name_stays_until_the_last(api: Client, pool_id: str) -> None:
    config = {"path": "/srv/images/file"}
    one = await create(api, "/storage-objects", an_object(pool_id, name="one", config=config))
    await create(api, "/storage-objects", an_object(pool_id, name="two", config=config))
    async with api.delete(f"/storage-objects/{one}", params={"delete_file": "true"}) as response:
        answer = await response.json()
    assert (response.status, answer["code"]) == (409, "path_taken")
    assert "storage object two" in answer["message"]
    async with api.delete(f"/storage-objects/{one}") as response:
        assert response.status == 204


async def test_a_boot_source_takes_objects_of_the_right_type(api: Client, pool_id: str) -> None:
    kernel = await create(api, "/storage-objects", an_object(pool_id))
    initrd = await create(api, "/storage-objects", an_object(pool_id, name="initrd", object_type="initrd"))
    wrong = {"name": "debian", "kernel_image_id": initrd, "initrd_image_id": kernel}
    async with api.post("/boot-sources", json=wrong) as response:
        answer = await response.json()
    assert (response.status, sorted(answer["errors"])) == (422, ["initrd_image_id", "kernel_image_id"])
    right = {"name": "debian", "kernel_image_id": kernel, "initrd_image_id": initrd}
    source_id = await create(api, "/boot-sources", right)
    source = await get(api, f"/boot-sources/{source_id}")
    schemas.BootSource().load(source)
    assert source["kernel_params"] == "console=ttyS0 reboot=k panic=1"
    async with api.delete(f"/storage-objects/{kernel}") as response:
        assert "boot source debian" in (await response.json())["message"]
    async with api.delete(f"/boot-sources/{source_id}") as response:
        assert response.status == 204


async def test_what_many_use_names_five_of_them_and_counts_the_rest(api: Client, pool_id: str) -> None:
    kernel = await create(api, "/storage-objects", an_object(pool_id))
    for name in "abcdefg":
        await create(api, "/boot-sources", {"name": name, "kernel_image_id": kernel})
    async with api.delete(f"/storage-objects/{kernel}") as response:
        answer = await response.json()
    named = ", ".join(f"boot source {name}" for name in "abcde")
    assert answer["message"] == f"storage object vmlinux is in use: {named} and 2 more"


async def test_a_command_line_is_counted_in_bytes(api: Client, pool_id: str) -> None:
    kernel = await create(api, "/storage-objects", an_object(pool_id))
    body = {"name": "linux", "kernel_image_id": kernel}
    for text, status in (("ä" * 1024, 422), ("a" * 2048, 422), ("ä" * 1023, 201)):
        async with api.post("/boot-sources", json=body | {"kernel_params": text}) as response:
            answer = await response.text()
        assert (response.status, "kernel_params" in answer) == (status, status == 422)


async def test_pages_follow_each_other_to_the_end(api: Client) -> None:
    names = [f"pool-{number}" for number in range(7)]
    for name in names:
        await create(api, "/storage-pools", {"name": name, "pool_type": "local"})
    for sort, expected in (("created_at", names), ("-name", names[::-1]), ("name", names)):
        seen: list[str] = []
        url: Any = f"/storage-pools?limit=3&sort={sort}"
        while url:
            async with api.get(url) as response:
                assert response.headers["X-Total-Count"] == "7"
                seen += [pool["name"] for pool in await response.json()]
                following = response.links.get("next")
                url = URL(following["url"]).relative() if following else None
        assert seen == expected
    assert [pool["name"] for pool in await get(api, "/storage-pools?name=pool-3")] == ["pool-3"]
    assert await get(api, "/storage-pools?status=error") == []


async def test_a_foreign_cursor_is_refused(api: Client) -> None:
    for query in (
        "cursor=nonsense",
        "cursor=W10",
        "limit=0",
        "limit=x",
        "sort=size",
        "nmae=x",
        "name=a&name=b",
    ):
        async with api.get(f"/storage-pools?{query}") as response:
            assert response.status in {400, 422}, query


async def test_every_change_is_an_event_with_before_and_after(api: Client, core: Any, pool_id: str) -> None:
    await api.delete(f"/storage-pools/{pool_id}")
    async with core.database.connection() as connection:
        rows = await connection.fetch_all("SELECT * FROM event_resources ORDER BY sequence")
    assert [(row["action"], row["actor"], row["subject_id"]) for row in rows] == [
        ("create", "local", pool_id),
        ("delete", "local", pool_id),
    ]
    assert rows[0]["after"]["name"] == "images"
    assert rows[0]["before"] is None
    assert rows[1]["before"] == rows[0]["after"]
    assert rows[1]["after"] is None


async def test_a_sum_that_nothing_can_hold_is_refused(api: Client, pool_id: str) -> None:
    await create(api, "/storage-objects", an_object(pool_id, size_bytes=2**63 - 1))
    async with api.post("/storage-objects", json=an_object(pool_id, name="second")) as response:
        assert (response.status, (await response.json())["code"]) == (422, "value_out_of_range")
