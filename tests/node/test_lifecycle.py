"""A VM's life on a simulated host, over real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from qarax_proto import node_pb2

from qarax_node.app import Node
from tests.node.serving import FENCE, code_of, new_id, serving, settings, vm_spec

if TYPE_CHECKING:
    from qarax_proto.node_pb2_grpc import NodeAsyncStub as Stub

VmState = node_pb2.VmState


@pytest.fixture
async def served(runtime_dir: Path) -> AsyncIterator[tuple[Node, Stub]]:
    async with serving(settings(runtime_dir)) as both:
        yield both


@pytest.fixture
def stub(served: tuple[Node, Stub]) -> Stub:
    return served[1]


async def create(stub: Stub, **more: object) -> str:
    vm_id = new_id()
    spec = vm_spec(Path("/pool"), **more)
    state = await stub.CreateVm(node_pb2.CreateVmRequest(fence=FENCE, vm_id=vm_id, spec=spec))
    assert state.status == VmState.STATUS_CREATED
    return vm_id


def request(vm_id: str) -> node_pb2.VmRequest:
    return node_pb2.VmRequest(fence=FENCE, vm_id=vm_id)


async def start(stub: Stub, vm_id: str) -> node_pb2.VmState:
    return await stub.StartVm(node_pb2.StartVmRequest(fence=FENCE, vm_id=vm_id))


async def stop(stub: Stub, vm_id: str, grace: int) -> node_pb2.VmState:
    return await stub.StopVm(node_pb2.StopVmRequest(fence=FENCE, vm_id=vm_id, grace_seconds=grace))


async def test_the_whole_life(stub: Stub) -> None:
    vm_id = await create(stub)
    for _ in range(2):
        assert (await start(stub, vm_id)).status == VmState.STATUS_RUNNING
    for _ in range(2):
        assert (await stub.PauseVm(request(vm_id))).status == VmState.STATUS_PAUSED
    for _ in range(2):
        assert (await stub.ResumeVm(request(vm_id))).status == VmState.STATUS_RUNNING
    assert (await stub.RebootVm(request(vm_id))).status == VmState.STATUS_RUNNING
    stopped = await stop(stub, vm_id, 10)
    assert stopped.status == VmState.STATUS_SHUTDOWN
    assert stopped.last_stop.how == node_pb2.StopOutcome.HOW_OBEYED
    assert "obeyed after" in stopped.reason
    assert (await stop(stub, vm_id, 10)).status == VmState.STATUS_SHUTDOWN
    assert (await start(stub, vm_id)).status == VmState.STATUS_RUNNING
    for _ in range(2):
        await stub.DeleteVm(request(vm_id))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.GetVm(node_pb2.GetVmRequest(vm_id=vm_id))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert code_of(refused.value) == "vm_missing"


async def test_a_paused_vm_is_resumed_to_be_stopped(stub: Stub) -> None:
    vm_id = await create(stub)
    await start(stub, vm_id)
    await stub.PauseVm(request(vm_id))
    assert (await stop(stub, vm_id, 10)).last_stop.how == node_pb2.StopOutcome.HOW_OBEYED


async def test_a_guest_that_ignores_the_button_is_forced_when_its_grace_is_over(stub: Stub) -> None:
    vm_id = await create(stub, cmdline="qarax.ignore_power_button")
    await start(stub, vm_id)
    stopped = await stop(stub, vm_id, 1)
    assert stopped.last_stop.how == node_pb2.StopOutcome.HOW_FORCED
    assert 1.0 <= stopped.last_stop.seconds < 5.0


async def test_no_grace_shortens_a_running_stop(stub: Stub) -> None:
    vm_id = await create(stub, cmdline="qarax.ignore_power_button")
    await start(stub, vm_id)
    slow = asyncio.ensure_future(stop(stub, vm_id, 600))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(slow), 0.2)
    assert (await stop(stub, vm_id, 0)).status == VmState.STATUS_SHUTDOWN
    assert (await slow).last_stop.how == node_pb2.StopOutcome.HOW_FORCED


async def test_delete_takes_over_a_running_stop(stub: Stub) -> None:
    vm_id = await create(stub, cmdline="qarax.ignore_power_button")
    await start(stub, vm_id)
    slow = asyncio.ensure_future(stop(stub, vm_id, 600))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(slow), 0.2)
    with pytest.raises(grpc.aio.AioRpcError) as busy:
        await stub.PauseVm(request(vm_id))
    assert busy.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert code_of(busy.value) == "vm_busy"
    await asyncio.wait_for(stub.DeleteVm(request(vm_id)), 5)
    assert (await slow).status == VmState.STATUS_SHUTDOWN


async def test_a_stop_goes_on_when_its_caller_goes_away(stub: Stub) -> None:
    vm_id = await create(stub)
    await start(stub, vm_id)
    call = stub.StopVm(node_pb2.StopVmRequest(fence=FENCE, vm_id=vm_id, grace_seconds=30), timeout=0.01)
    with pytest.raises(grpc.aio.AioRpcError):
        await call
    events = stub.Watch(node_pb2.WatchRequest(heartbeat_milliseconds=100))
    following = aiter(events)
    async with asyncio.timeout(5):
        while (await stub.GetVm(node_pb2.GetVmRequest(vm_id=vm_id))).status != VmState.STATUS_SHUTDOWN:
            await anext(following)
    events.cancel()


async def test_what_cannot_happen_names_the_status(stub: Stub) -> None:
    vm_id = await create(stub)
    for call in (stub.PauseVm, stub.ResumeVm, stub.RebootVm):
        with pytest.raises(grpc.aio.AioRpcError, match="created") as refused:
            await call(request(vm_id))
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_create_again_is_the_same_and_another_spec_is_refused(stub: Stub) -> None:
    vm_id, spec = new_id(), vm_spec(Path("/pool"))
    made = [
        await stub.CreateVm(node_pb2.CreateVmRequest(fence=FENCE, vm_id=vm_id, spec=spec)) for _ in range(2)
    ]
    assert made[0] == made[1]
    other = vm_spec(Path("/pool"), memory_size=128 << 20)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.CreateVm(node_pb2.CreateVmRequest(fence=FENCE, vm_id=vm_id, spec=other))
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_a_new_spec_with_start_is_kept_and_refused_while_running(stub: Stub) -> None:
    vm_id = await create(stub)
    other = vm_spec(Path("/pool"), memory_size=128 << 20)
    started = await stub.StartVm(node_pb2.StartVmRequest(fence=FENCE, vm_id=vm_id, spec=other))
    again = await stub.StartVm(node_pb2.StartVmRequest(fence=FENCE, vm_id=vm_id, spec=other))
    assert again.spec_digest == started.spec_digest
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.StartVm(
            node_pb2.StartVmRequest(fence=FENCE, vm_id=vm_id, spec=vm_spec(Path("/pool"), name="b"))
        )
    assert code_of(refused.value) == "vm_running"


@pytest.mark.parametrize(
    ("field", "value"),
    [("boot_vcpus", 0), ("max_vcpus", 0), ("memory_size", 1), ("cmdline", "a\nb"), ("driver", "qemu")],
)
async def test_a_spec_that_breaks_a_rule_is_refused_by_field(stub: Stub, field: str, value: object) -> None:
    spec = vm_spec(Path("/pool"), **{field: value})
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.CreateVm(node_pb2.CreateVmRequest(fence=FENCE, vm_id=new_id(), spec=spec))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert dict(refused.value.trailing_metadata() or ())["qarax-field"] == {"cmdline": "kernel_params"}.get(
        field, field
    )


@pytest.mark.parametrize("vm_id", ["", "../../etc", "x", "A" * 36, "{00000000-0000-0000-0000-000000000000}"])
async def test_an_id_that_is_no_uuid_is_refused(stub: Stub, vm_id: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.CreateVm(node_pb2.CreateVmRequest(fence=FENCE, vm_id=vm_id, spec=vm_spec(Path("/pool"))))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    await stub.DeleteVm(request(vm_id))


async def test_preflight_alone_keeps_nothing(stub: Stub, runtime_dir: Path) -> None:
    vm_id = new_id()
    await stub.CreateVm(
        node_pb2.CreateVmRequest(fence=FENCE, vm_id=vm_id, spec=vm_spec(Path("/pool")), preflight_only=True)
    )
    assert not (runtime_dir / vm_id).exists()


async def test_an_older_fencing_number_is_refused_and_the_newest_survives_a_restart(
    runtime_dir: Path,
) -> None:
    given = settings(runtime_dir)
    vm_id = new_id()
    for number, allowed in ((5, True), (4, False), (5, True), (6, True)):
        async with serving(given) as (_, stub):
            call = stub.DeleteVm(node_pb2.VmRequest(fence=node_pb2.Fence(number=number), vm_id=vm_id))
            if allowed:
                await call
            else:
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await call
                assert refused.value.code() is grpc.StatusCode.ABORTED


async def test_watch_gives_the_whole_state_then_every_change(stub: Stub) -> None:
    vm_id = await create(stub)
    events = stub.Watch(node_pb2.WatchRequest(heartbeat_milliseconds=200))
    following = aiter(events)
    first = await anext(following)
    assert [vm.vm_id for vm in first.snapshot.vms] == [vm_id]
    assert first.snapshot.node.drivers[0].name == "simulated"
    await start(stub, vm_id)
    changed = await anext(following)
    assert changed.vm_changed.status == VmState.STATUS_RUNNING
    assert changed.vm_changed.generation > first.snapshot.vms[0].generation
    assert (await anext(following)).WhichOneof("event") == "heartbeat"
    await stub.DeleteVm(request(vm_id))
    seen = [(await anext(following)) for _ in range(1)]
    while seen[-1].WhichOneof("event") != "vm_removed":
        seen.append(await anext(following))
    assert seen[-1].vm_removed == vm_id
    events.cancel()


async def test_a_guest_that_powers_itself_off_is_shut_down_with_its_reason(stub: Stub) -> None:
    vm_id = await create(stub, cmdline="qarax.lifetime=0")
    events = stub.Watch(node_pb2.WatchRequest())
    following = aiter(events)
    await start(stub, vm_id)
    async with asyncio.timeout(5):
        state = (await anext(following)).vm_changed
        while state.status != VmState.STATUS_SHUTDOWN:
            state = (await anext(following)).vm_changed
    assert state.last_stop.how == node_pb2.StopOutcome.HOW_GUEST_POWEROFF
    assert state.reason == "the guest powered itself off"
    events.cancel()


async def test_a_restart_of_a_simulated_host_finds_its_vms_shut_down(runtime_dir: Path) -> None:
    given = settings(runtime_dir)
    async with serving(given) as (_, stub):
        started, never = await create(stub), await create(stub)
        before = (await start(stub, started)).generation
        node_id = (await stub.Describe(node_pb2.DescribeRequest())).node_id
    async with serving(given) as (_, stub):
        assert (await stub.Describe(node_pb2.DescribeRequest())).node_id == node_id
        state = await stub.GetVm(node_pb2.GetVmRequest(vm_id=started))
        assert (state.status, state.pid) == (VmState.STATUS_SHUTDOWN, 0)
        assert state.generation > before
        state = await stub.GetVm(node_pb2.GetVmRequest(vm_id=never))
        assert state.status == VmState.STATUS_CREATED


async def test_a_simulated_console_can_be_read_followed_and_typed_into(stub: Stub) -> None:
    vm_id = await create(stub)
    await start(stub, vm_id)
    reading = stub.ReadConsole(node_pb2.ReadConsoleRequest(vm_id=vm_id, oldest=True, follow=True))
    console = aiter(reading)
    assert (await anext(console)).data == node_pb2.ConsoleData(offset=0)
    first = await anext(console)
    assert b"simulated guest vm is up" in first.data.data
    inputs = [
        node_pb2.ConsoleInput(vm_id=vm_id, writer="ann"),
        node_pb2.ConsoleInput(data=b"hello"),
    ]
    states = [state async for state in stub.WriteConsole(iter(inputs))]
    assert states == [node_pb2.ConsoleInputState(attached=True, holder="ann")]
    echoed = await anext(console)
    assert (echoed.data.offset, echoed.data.data) == (len(first.data.data), b"hello")
    tail = [chunk async for chunk in stub.ReadConsole(node_pb2.ReadConsoleRequest(vm_id=vm_id, tail_lines=1))]
    assert b"".join(chunk.data.data for chunk in tail) == b"# hello"
    await stub.DeleteVm(request(vm_id))
    async with asyncio.timeout(5):
        assert len([chunk async for chunk in reading]) <= 1


async def test_a_directory_that_cannot_be_written_makes_the_node_degraded(
    stub: Stub, served: tuple[Node, Stub], runtime_dir: Path
) -> None:
    vm_id = await create(stub)
    runtime_dir.rename(runtime_dir.with_name("moved"))
    try:
        with pytest.raises(grpc.aio.AioRpcError, match="cannot be written") as refused:
            await stub.StopVm(
                node_pb2.StopVmRequest(fence=node_pb2.Fence(number=2), vm_id=vm_id, grace_seconds=1)
            )
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "cannot be written" in (await stub.Describe(node_pb2.DescribeRequest())).degraded_reason
        assert (await stub.GetVm(node_pb2.GetVmRequest(vm_id=vm_id))).vm_id == vm_id
    finally:
        runtime_dir.with_name("moved").rename(runtime_dir)
    await stub.StartVm(node_pb2.StartVmRequest(fence=node_pb2.Fence(number=2), vm_id=vm_id))
    assert served[0].host.degraded == ""
