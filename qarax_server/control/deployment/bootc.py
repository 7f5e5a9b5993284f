"""`bootc`: the machine boots another image. Its agent, units and Cloud Hypervisor are parts of the image.

The image is fetched and staged beside the one that runs; only the reboot ends VMs, so it waits for an
operator who stopped them, or says `force`.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

from qarax_server.control.deployment import common
from qarax_server.control.deployment.release import NODE_UNIT
from qarax_server.control.deployment.services import named
from qarax_server.control.deployment.steps import Outcome, Run, Step
from qarax_server.errors import HostAccessError
from qarax_server.store import deployments

REGISTRY = (
    "see that the image exists, and that the host reaches the registry: podman pull on the host says more"
)
BACK = (
    "see the machine's own console: it may have stayed in the former image, or not have come back at all. "
    "`bootc rollback` on the host goes back by hand"
)


async def check(run: Run) -> Outcome:
    """Whether the machine is one that boots images, and from which."""
    booted = _image(await _status(run), "booted")
    if booted is None:
        raise HostAccessError(
            "it does not boot from an image (bootc status names none): deploy with mode direct, or install "
            "the machine from the image"
        )
    return Outcome(f"booted from {booted}", changed=False)


async def stage(run: Run) -> Outcome:
    """Fetch the image, in place of another that waits for a reboot; or look for a newer one of its name."""
    status, target = await _status(run), run.plan.target
    booted = _image(status, "booted")
    if (_image(status, "staged") or booted) != target:
        await run.machine.run("bootc", "switch", target, remedy=REGISTRY)
    elif "@" not in target:
        await run.machine.run("bootc", "upgrade", remedy=REGISTRY)
    staged = _image(await _status(run), "staged")
    if staged is None:
        return Outcome(f"{booted} is booted, and nothing newer", changed=False)
    return Outcome(f"{staged} is staged")


async def reboot(run: Run) -> Outcome:
    """Boot what is staged, unless VMs run; the connection ends with it."""
    if _image(await _status(run), "staged") is None:
        if run.certificate_is_new:
            await run.machine.run("systemctl", "restart", NODE_UNIT)
        return Outcome("nothing is staged", changed=False)
    async with run.core.database.connection() as c:
        running = await deployments.list_running_vms(c, run.host.id)
    if running and not run.plan.force:
        raise HostAccessError(
            f"VMs run on it ({named(running)}): stop them and deploy again, which goes on here, or deploy "
            "with force, which ends them"
        )
    run.boot_id = (await run.machine.run("cat", "/proc/sys/kernel/random/boot_id")).strip()
    run.report.cancellable = False
    await common.expect_node(run)
    await run.core.nodes.reset(run.host.id)
    with contextlib.suppress(HostAccessError):  # a machine that goes down cuts the connection as it likes
        await run.machine.run("systemctl", "reboot")
    await run.stack.aclose()
    run.connected = None
    return Outcome("rebooting")


async def verify(run: Run) -> Outcome:
    """Look whether the machine came back in the image that was asked for."""
    if run.connected is None:
        await common.connect(run)
    booted = _image(await _status(run), "booted")
    if booted != run.plan.target:
        raise HostAccessError(f"it came back from {booted}, not from {run.plan.target}")
    return Outcome(f"booted from {booted}", changed=False)


async def _status(run: Run) -> dict[str, Any]:
    ended = await run.machine.ask("bootc", "status", "--json")
    try:
        found = json.loads(ended.output)["status"]
    except (ValueError, KeyError, TypeError) as error:
        words = ended.output.strip().splitlines()[-1:] or ["no answer"]
        raise HostAccessError(f"`bootc status --json` ended with {ended.status}: {words[0]}") from error
    return found if isinstance(found, dict) else {}


def _image(status: dict[str, Any], slot: str) -> str | None:
    """The name of the image in a slot (`booted`, `staged`) of bootc's status."""
    try:
        return str(status[slot]["image"]["image"]["image"])
    except (KeyError, TypeError):
        return None


STEPS = (
    common.CONNECT,
    Step("check", check),
    common.CERTIFICATES,
    Step("image", stage, "install_seconds"),
    Step("reboot", reboot),
    Step("answer", common.hear_from_node, "reboot_seconds", cancellable=False, remedy=BACK),
    Step("verify", verify, cancellable=False, remedy=BACK),
)
