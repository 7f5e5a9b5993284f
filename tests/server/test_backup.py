"""Backup and restore of the control plane as docs/upgrade.md has it: guests go on, what was lost is shown."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from qarax_server.settings import Monitor
from tests.postgres import TestDatabase, TestServer
from tests.server.looking import vm_with
from tests.server.running import Node, control_plane, settings_for, until


def run(postgres: TestServer, program: str, database: TestDatabase, *words: str) -> None:
    place = ["--host", database.host, "--port", str(database.port), "--username", database.username]
    command = [str(postgres.server._binary(program)), *place, "--dbname", database.database_name, *words]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


async def test_a_restored_control_plane_finds_its_guests_and_names_what_it_lost(
    postgres: TestServer, database_settings: TestDatabase, node: Node, tmp_path: Path
) -> None:
    settings, dump = settings_for(database_settings, tmp_path, monitor=Monitor()), tmp_path / "qarax.dump"
    async with control_plane(settings) as plane:
        await plane.add_host(node)
        kept, ended = await plane.add_vm("kept"), await plane.add_vm("ended-later")
        for vm_id in (kept, ended):
            await plane.ok("POST", f"/vms/{vm_id}/start")
        run(postgres, "pg_dump", database_settings, "--format=custom", f"--file={dump}")
    for _ in range(2):  # the fencing number that the node obeys grows past the one in the dump
        async with control_plane(settings) as plane:
            await plane.ok("POST", f"/vms/{kept}/pause")
            await plane.ok("POST", f"/vms/{kept}/resume")
    async with control_plane(settings) as plane:
        await plane.ok("DELETE", f"/vms/{ended}")
        lost = await plane.add_vm("made-later")
        await plane.ok("POST", f"/vms/{lost}/start")

    with postgres.fresh_database("template0") as fresh:
        run(postgres, "pg_restore", fresh, "--exit-on-error", "--no-owner", str(dump))
        async with control_plane(settings_for(fresh, tmp_path, monitor=Monitor())) as plane:

            async def orphans() -> Any:
                return await plane.ok("GET", "/orphans")

            (orphan,) = await until(orphans)
            assert (orphan["vm_id"], orphan["name"], orphan["status"]) == (lost, "made-later", "running")
            assert (await vm_with(plane, kept, status="running"))["status_reason"] is None
            gone = await vm_with(plane, ended, status="unknown")
            assert "does not have this VM" in gone["status_reason"]
            adopted = await plane.ok("POST", f"/hosts/{orphan['host_id']}/orphans/{lost}/adopt")
            assert adopted["status"] == "running"
            assert (await plane.ok("POST", f"/vms/{kept}/stop"))["status"] == "shutdown"
            assert (await plane.ok("POST", f"/vms/{kept}/start"))["status"] == "running"
            await plane.ok("DELETE", f"/vms/{ended}")
