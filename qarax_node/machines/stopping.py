"""An honest stop: power button, repeated; then the driver's own end; then a kill of the recorded process.

A second stop with a shorter grace shortens the first; while it waits for the guest it can be called off. How
it ended is kept with the VM.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import signal
import time
from typing import TYPE_CHECKING, Any

from qarax_node import processes
from qarax_node.drivers.base import Status, StopHow
from qarax_node.errors import NodeError

if TYPE_CHECKING:
    from qarax_node.machines.machine import Machine

LOGGER = logging.getLogger(__name__)
# Sooner at first: a guest that is still booting misses the first press.
PRESS_AGAIN_SECONDS = (1.0, 2.0)
THEN_SECONDS = 5.0
END_SECONDS = 5.0
KILL_SECONDS = 10.0


class Stop:
    """A stop under way: until when the guest may obey; `news` of a shorter grace or of the guest wakes it."""

    def __init__(self, grace: float) -> None:
        self.began = time.monotonic()
        self.deadline = self.began + grace
        self.news = asyncio.Event()
        self.done = asyncio.Event()
        self.pressed = False
        self.forced = False
        self.called_off = False

    def shorten(self, grace: float) -> None:
        """Let the guest have no more than `grace` seconds from now."""
        self.deadline = min(self.deadline, time.monotonic() + grace)
        self.news.set()

    def call_off(self) -> None:
        """Wait for the guest no more, and force nothing."""
        self.called_off = True
        self.news.set()

    def outcome(self, seen: StopHow) -> tuple[StopHow, float, str]:
        """How it ended, after how many seconds, in a sentence; `seen` is what the driver makes of the end."""
        seconds = time.monotonic() - self.began
        if self.forced:
            return StopHow.FORCED, seconds, f"stopped: forced after {seconds:.1f} s"
        if seen is StopHow.CRASHED:
            return seen, seconds, "the hypervisor process died while it was being stopped"
        if not self.pressed:
            return StopHow.GUEST_POWEROFF, seconds, "the guest had powered itself off"
        return StopHow.OBEYED, seconds, f"stopped: the guest obeyed after {seconds:.1f} s"


async def stop(machine: Machine, grace: float) -> None:
    """Return when the VMM is gone; with no VMM there is nothing to do."""
    if machine.stopping is not None:
        running = machine.stopping
        running.shorten(grace)
        await running.done.wait()
        if machine.run is not None:
            raise NodeError("the stop that was under way failed", code="stop_failed", kind="unavailable")
        return
    async with machine.lock:
        if machine.run is None:
            return
        machine.stopping, machine.doing = Stop(grace), "stop"
        try:
            if grace > 0:
                await _ask(machine, machine.stopping)
            gone = machine.ended.done() or machine.guest_is_off
            if machine.stopping.called_off and not gone:
                raise NodeError("the stop was cancelled: the VM goes on", code="stop_cancelled", kind="state")
            if not machine.ended.done():
                machine.stopping.forced = not machine.guest_is_off
                await force(machine)
            await machine.settle(machine.ended.result(), machine.stopping)
        finally:
            machine.stopping.done.set()
            machine.stopping, machine.doing = None, ""


async def cancel(machine: Machine) -> None:
    """End a stop that waits for its guest, without force; return when it is over, however it ended."""
    running = machine.stopping
    if running is None:
        raise NodeError("no stop of this VM is under way", code="no_stop", kind="state")
    if running.forced:
        raise NodeError("too late: the VM is being ended by force", code="stop_forced", kind="state")
    running.call_off()
    await running.done.wait()


async def _ask(machine: Machine, stop: Stop) -> None:
    """Press the power button until the guest is off or its time is up."""
    for pause in itertools.chain(PRESS_AGAIN_SECONDS, itertools.repeat(THEN_SECONDS)):
        left = stop.deadline - time.monotonic()
        if machine.ended.done() or machine.guest_is_off or stop.called_off or left <= 0:
            return
        try:
            async with asyncio.timeout(left):
                if machine.status is Status.PAUSED:
                    await machine.driver.resume(machine.spec)
                    machine.changed(Status.RUNNING, "resumed to be stopped")
                await machine.driver.power_button(machine.spec)
            stop.pressed = True
        except (NodeError, TimeoutError) as error:
            LOGGER.warning("VM %s: the power button: %s", machine.vm_id, str(error) or "no answer in time")
        await _wait(machine, stop, min(pause, max(0.0, stop.deadline - time.monotonic())))


async def _wait(machine: Machine, stop: Stop, seconds: float) -> None:
    """Wait for the guest's end, a shorter grace, or so long."""
    news = asyncio.ensure_future(stop.news.wait())
    either: list[asyncio.Future[Any]] = [machine.ended, news]
    await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    news.cancel()
    stop.news.clear()


async def force(machine: Machine) -> None:
    """End the VMM now. Raises NodeError when even a kill does not end it."""
    run = machine.run
    if run is None:
        return
    try:
        async with asyncio.timeout(END_SECONDS):
            await machine.driver.end(machine.spec)
            await asyncio.shield(machine.ended)
    except (NodeError, TimeoutError) as error:
        LOGGER.warning("VM %s: killing pid %d: %s", machine.vm_id, run.process.pid, error or "it did not end")
        processes.send_signal(run.process, signal.SIGKILL)
    await asyncio.wait([machine.ended], timeout=KILL_SECONDS)
    if not machine.ended.done():
        raise NodeError(
            f"pid {run.process.pid} cannot be killed; it hangs in the kernel, look at its storage",
            code="vmm_unkillable",
            kind="unavailable",
        )
