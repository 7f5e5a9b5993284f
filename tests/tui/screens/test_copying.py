"""What reaches the clipboard: objects in every form, and what the mouse dragged over."""

from __future__ import annotations

from pathlib import Path

import pytest

from qarax_tui.screens.hypervisor_json import vm_config
from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import dashboard, open_view
from tests.tui.screens.world import furnish

COPIED = (
    "00000000-0000",
    "db-1",
    "curl -fsS http",
    '"boot_vcpus": 1',
    "boot_vcpus: 1",
    "-X POST",
    '"payload"',
)


async def test_a_vm_is_copied_in_every_form() -> None:
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            for steps, part in enumerate(COPIED):
                await desk.press("y", *["down"] * steps, "enter")
                await desk.until(lambda part=part: part in desk.app.clipboard)  # type: ignore[misc]


async def test_tmux_is_given_what_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own command: as tmux comes, it takes no clipboard from programs."""
    taken = tmp_path / "taken"
    tmux = tmp_path / "tmux"
    tmux.write_text(f'#!/bin/sh\necho "$@" >{taken}.words\ncat >{taken}.new\nmv {taken}.new {taken}\n')
    tmux.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("TMUX", "socket,1,0")
    async with ControlPlane() as plane:
        furnish(plane)
        async with dashboard(plane) as desk:
            await desk.press("y", "down", "enter")
            await desk.until(taken.exists)
            assert taken.read_text() == "db-1"
            assert taken.with_suffix(".words").read_text().split() == ["load-buffer", "-w", "-"]


async def test_what_is_dragged_over_in_the_console_is_copied() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        plane.console(ids["db-1"]).write(b"login: root\r\nPassword:\r\n")
        async with dashboard(plane) as desk:
            await desk.press("c")
            await desk.until(lambda: "Password:" in desk.text())
            await desk.pilot.mouse_down("#console", offset=(7, 0))
            await desk.pilot.hover("#console", offset=(3, 1))
            await desk.pilot.mouse_up("#console", offset=(3, 1))
            await desk.until(lambda: desk.app.clipboard == "root\nPass")
            assert "Copied: selection (9 characters)." in desk.toasts()
            await desk.press("escape")
            assert desk.main.view.view_id == "console"


async def test_an_event_copies_what_it_is_about() -> None:
    async with ControlPlane() as plane:
        ids = furnish(plane)
        async with dashboard(plane) as desk:
            plane.change("vm", ids["web-2"], status="paused")
            await open_view(desk, "events")
            await desk.until(lambda: bool(desk.table.order.ids))
            await desk.press("f", "y", "down", "enter")
            await desk.until(lambda: desk.app.clipboard == "web-2")


async def test_an_own_action_is_copied_as_its_curl() -> None:
    async with ControlPlane() as plane:
        vm = plane.add("vm", name="web-1", status="running")
        async with dashboard(plane) as desk:
            await desk.press("p")
            await desk.until(lambda: bool(desk.app.api.actions))
            await desk.press("H")
            await desk.until(lambda: "pause web-1" in desk.text())
            await desk.press("y")
            await desk.until(lambda: desk.app.clipboard.endswith(f"{plane.url}/vms/{vm}/pause"))
            assert desk.app.clipboard.startswith("curl ")


def test_the_hypervisor_s_json_has_disks_and_networks_as_it_names_them() -> None:
    limit = {"bandwidth": {"size": 1, "refill_time": 2}}
    net = {"id": "net0", "interface_type": "tap", "tap": "tap0", "mac": None, "rate_limiter": limit}
    body = {
        "boot_vcpus": 2, "max_vcpus": 4, "memory_size": 2**30, "memory_shared": True,
        "networks": [net], "disks": [{"storage_object_id": "root", "image_type": "raw", "readonly": True}],
        "kvm_hyperv": True, "cpu_topology": {"sockets": 1},
    }  # fmt: skip
    config = vm_config(body)
    assert config["cpus"] == {"boot_vcpus": 2, "max_vcpus": 4, "topology": {"sockets": 1}, "kvm_hyperv": True}
    assert config["memory"] == {"size": 2**30, "shared": True}
    assert config["net"] == [{"id": "net0", "tap": "tap0", "rate_limiter_config": limit}]
    assert config["disks"] == [{"path": "<storage object root>", "readonly": True, "image_type": "raw"}]
