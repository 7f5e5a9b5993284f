"""Every body, answer and query of the REST contract, as marshmallow schemas.

The names of the classes are the schema names of the OpenAPI document.
"""

from qarax_server.api.schemas.hosts import DeployHostRequest, Host, NewHost, UpdateHostRequest
from qarax_server.api.schemas.operations import Error, Event, Operation
from qarax_server.api.schemas.orphans import Orphan
from qarax_server.api.schemas.storage import (
    BootSource,
    NewBootSource,
    NewDisk,
    NewStorageObject,
    NewStoragePool,
    NewTransfer,
    StorageObject,
    StoragePool,
    Transfer,
)
from qarax_server.api.schemas.vms import NewVm, Placement, UpdateVmRequest, Vm, VmMetrics

__all__ = [
    "BootSource",
    "DeployHostRequest",
    "Error",
    "Event",
    "Host",
    "NewBootSource",
    "NewDisk",
    "NewHost",
    "NewStorageObject",
    "NewStoragePool",
    "NewTransfer",
    "NewVm",
    "Operation",
    "Orphan",
    "Placement",
    "StorageObject",
    "StoragePool",
    "Transfer",
    "UpdateHostRequest",
    "UpdateVmRequest",
    "Vm",
    "VmMetrics",
]
