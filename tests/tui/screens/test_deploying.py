"""Deploying from the dashboard: the form, the steps as they go, what an operator reads of a failure."""

from __future__ import annotations

from typing import Any

from textual.widgets import Input

from tests.fakes.control_plane import ControlPlane
from tests.tui.screens.dashboard import dashboard
from tests.tui.screens.world import ago

STEPS = ("connect", "check", "packages", "environment")
FAILURE = {
    "step": "packages",
    "message": "`dd of=/opt/x` ended with status 1",
    "command": "dd of=/opt/x",
    "exit_status": 1,
    "output": "dd: no space left on device",
    "remedy": "make room on the host",
}


def deploying(plane: ControlPlane, status: str, **progress: Any) -> str:
    """A host in the third step of its deployment, or where that failed."""
    host_status = "installation_failed" if status == "failed" else "installing"
    host: dict[str, Any] = {"name": "alpha", "status": host_status, "address": "10.0.0.1", "port": 50051}
    host_id = plane.add("host", **host, host_user="root")
    states = ("done", "unchanged", "failed" if status == "failed" else "running", "waiting")
    steps = [
        {"name": name, "status": state, "detail": f"about {name}", "seconds": 1.0}
        for name, state in zip(STEPS, states, strict=True)
    ]
    plane.add(
        "operation", subject_type="host", subject_id=host_id, subject_name="alpha", action="deploy",
        status=status, actor="anna", started_at=ago(10), reason="packages: no space left",
        progress={"mode": "direct", "target": "qarax 1.0.0", "steps": steps, "log": ["$ uname -s -m"],
                  "done": 2, "total": 4, **progress},
    )  # fmt: skip
    return host_id


async def test_steps_and_log_show_while_it_runs() -> None:
    async with ControlPlane() as plane:
        deploying(plane, "running")
        async with dashboard(plane, (140, 45)) as desk:
            await desk.press("2", "enter")
            await desk.until(lambda: "$ uname -s -m" in desk.text())
            text = desk.text()
            for shown in ("direct", "qarax 1.0.0", "● connect", "○ check", "◌ packages", "· environment"):
                assert shown in text, shown


async def test_a_failure_shows_step_command_output_and_remedy() -> None:
    async with ControlPlane() as plane:
        deploying(plane, "failed", failure=FAILURE)
        async with dashboard(plane, (140, 50)) as desk:
            await desk.press("2", "enter")
            await desk.until(lambda: "make room on the host" in desk.text())
            text = desk.text()
            for shown in ("✖ packages", "dd of=/opt/x  (status 1)", "dd: no space left on device"):
                assert shown in text, shown


async def test_the_form_masks_the_password_and_sends_what_was_chosen() -> None:
    async with ControlPlane() as plane:
        host_id = deploying(plane, "failed")
        async with dashboard(plane, (140, 45)) as desk:
            await desk.press("2", "i")
            fields = list(desk.screen.query(Input))
            assert [field.password for field in fields] == [False, False, True]
            fields[0].value, fields[2].value = "v1.2.3", "hunter2"
            await desk.press("ctrl+s")
            path = f"/hosts/{host_id}/deploy"
            await desk.until(lambda: ("POST", path) in desk.changes())
            assert [body for _, one, body in plane.bodies if one == path] == [
                {"image_version": "v1.2.3", "ssh_port": 22, "ssh_password": "hunter2", "force": False}
            ]
            assert "hunter2" not in desk.text()
            sent = [action for action in desk.main.session.api.actions if action.path == path]
            assert sent
            assert "hunter2" not in repr(sent), "what was done here is listed, as curl, without the password"
