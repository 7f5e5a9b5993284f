"""A VM's life by a client that nobody wrote: `qarax_client` is generated from openapi.yaml.

Run by test_generated_client.py: `python generated_client_walk.py URL KERNEL`.
"""

# mypy: ignore-errors
# the client exists only while the test runs
from __future__ import annotations

import sys
import time
from uuid import UUID

from qarax_client import Client
from qarax_client.api.boot_sources import create as create_boot_source
from qarax_client.api.hosts import list_ as list_hosts
from qarax_client.api.storage_pools import create as create_pool
from qarax_client.api.transfers import create as create_transfer
from qarax_client.api.transfers import get as get_transfer
from qarax_client.api.vms import create, delete, get, list_, pause, resume, start, stop
from qarax_client.models import (
    HostStatus,
    Hypervisor,
    NewBootSource,
    NewStoragePool,
    NewStoragePoolConfigType0,
    NewTransfer,
    NewVm,
    StorageObjectType,
    StoragePoolType,
    TransferStatus,
    VmStatus,
)


def boot_source(client: Client, kernel: str, pool_path: str) -> UUID:
    """Bring a kernel into a pool and make a boot source of it."""
    config = NewStoragePoolConfigType0.from_dict({"path": pool_path})
    pool = NewStoragePool(name="generated", pool_type=StoragePoolType.LOCAL, config=config)
    pool_id = create_pool.sync(client=client, body=pool)
    assert isinstance(pool_id, UUID), pool_id
    new = NewTransfer(name="vmlinux", source=kernel, object_type=StorageObjectType.KERNEL)
    transfer = create_transfer.sync(pool_id, client=client, body=new)
    deadline = time.monotonic() + 20
    while transfer.status in {TransferStatus.PENDING, TransferStatus.RUNNING}:
        assert time.monotonic() < deadline
        transfer = get_transfer.sync(pool_id, transfer.id, client=client)
    assert transfer.status is TransferStatus.COMPLETED, transfer.error_message
    body = NewBootSource(name="generated", kernel_image_id=transfer.storage_object_id)
    return create_boot_source.sync(client=client, body=body)


def walk(url: str, kernel: str, pool_path: str) -> None:
    """Create, start, pause, resume, stop, delete."""
    client = Client(base_url=url)
    hosts = list_hosts.sync(client=client, status=HostStatus.UP)
    assert [host.status for host in hosts] == [HostStatus.UP]
    new = NewVm(
        name="generated",
        hypervisor=Hypervisor.CLOUD_HV,
        boot_vcpus=1,
        max_vcpus=1,
        memory_size=67108864,
        boot_source_id=boot_source(client, kernel, pool_path),
    )
    vm_id = create.sync(client=client, body=new)
    assert isinstance(vm_id, UUID), vm_id
    assert get.sync(vm_id, client=client).status is VmStatus.CREATED
    for action, status in (
        (start, VmStatus.RUNNING),
        (pause, VmStatus.PAUSED),
        (resume, VmStatus.RUNNING),
        (stop, VmStatus.SHUTDOWN),
    ):
        assert action.sync(vm_id, client=client).status is status
    assert [vm.id for vm in list_.sync(client=client, limit=5)] == [vm_id]
    assert delete.sync_detailed(vm_id, client=client).status_code == 204
    assert get.sync_detailed(vm_id, client=client).status_code == 404


if __name__ == "__main__":
    walk(*sys.argv[1:])
