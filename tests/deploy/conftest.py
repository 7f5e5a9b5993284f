"""What tests of deployments share: machines, what is deployed to them, a control plane that does it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from qarax_server.certificates import folders
from qarax_server.settings import Bootc, Deployment, NodeTls, Settings, VmDefaults
from tests.deploy.machine import Ground, Machine, ground, has_what_it_takes
from tests.deploy.packages import NEWER, Packages, build_packages
from tests.deploy.scene import KERNEL, REGISTRY, Installed, Scene
from tests.postgres import TestDatabase, TestServer
from tests.server.running import control_plane, settings_for


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """Two versions of this tree as wheels, and a hypervisor."""
    return build_packages(tmp_path_factory.mktemp("packages") / "built")


@pytest.fixture(scope="session")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Where the files of machines lie."""
    if why := has_what_it_takes():
        pytest.skip(why)
    with ground(tmp_path_factory.mktemp("machines") / "memory") as made:
        yield made


@pytest.fixture
async def host_machine(
    memory: Ground, installed: Installed, request: pytest.FixtureRequest
) -> AsyncIterator[Machine]:
    """A machine that begins with what `installed` left: nothing runs, both releases are there."""
    made = Machine(memory, name_of(request), layers=(installed.layer,))
    await made.start()
    yield made
    await made.stop()


def name_of(request: pytest.FixtureRequest) -> str:
    return str(request.node.name).replace("[", "-").rstrip("]").replace("_", "-")[:60]


@pytest.fixture(scope="session")
def installed(
    memory: Ground, packages: Packages, postgres: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    """A machine that was deployed to for the first time, upgraded, and taken back; its files stay."""
    directory = tmp_path_factory.mktemp("installing")

    async def install(database: TestDatabase) -> Installed:
        machine = Machine(memory, "installed")
        await machine.start()
        try:
            async with control_plane(settings_of_scene(database, directory, memory, packages)) as plane:
                scene = Scene(plane)
                host_id = await scene.register(machine)
                first = await scene.deploy(machine, host_id)
                statuses, host = await scene.statuses(host_id), await scene.host(host_id)
                upgraded = await scene.deploy(machine, host_id, image_version=f"v{NEWER}")
                back = await scene.deploy(machine, host_id)
                return Installed(machine.name, first, statuses, host, upgraded, back)
        finally:
            await machine.stop()

    with postgres.fresh_database() as database:
        return asyncio.run(install(database))


def settings_of_scene(
    database: TestDatabase, directory: Path, memory: Ground, packages: Packages, **changes: Any
) -> Settings:
    """Settings with a CA, the key that machines let in, and short limits; `changes` are of `deployment`."""
    tls = directory / "tls"
    if not tls.exists():
        authority = folders.create(tls, 3650)
        folders.keep(tls / folders.SERVER, authority.issue_for_server())
    deployment: dict[str, Any] = {
        "ssh_key_path": str(memory.key),
        "packages_path": str(packages.directory),
        "cloud_hypervisor_sha256": packages.hypervisor,
        "step_seconds": 60.0,
        "install_seconds": 300.0,
        "reboot_seconds": 30.0,
    } | changes
    return settings_for(
        database,
        directory,
        deployment=Deployment(**deployment),
        bootc=Bootc(registry=REGISTRY),
        node_tls=NodeTls(directory=str(tls)),
        vm_defaults=VmDefaults(kernel=KERNEL, initramfs="", cmdline="console=ttyS0", stop_grace_seconds=1),
    )


@pytest.fixture
def scene_settings(
    database_settings: TestDatabase,
    tmp_path: Path,
    memory: Ground,
    packages: Packages,
    request: pytest.FixtureRequest,
) -> Settings:
    """Of `scene`; `@pytest.mark.parametrize("scene_settings", [{…}], indirect=True)` changes `deployment`."""
    changes = getattr(request, "param", {})
    return settings_of_scene(database_settings, tmp_path, memory, packages, **changes)


@pytest.fixture
async def scene(scene_settings: Settings) -> AsyncIterator[Scene]:
    """A control plane that deploys."""
    async with control_plane(scene_settings) as plane:
        yield Scene(plane)
