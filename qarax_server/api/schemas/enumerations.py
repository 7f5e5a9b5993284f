"""The enumerations by their names in the OpenAPI document: generated clients have one type for each."""

from __future__ import annotations

from collections.abc import Mapping

from qarax_server.api.schemas import hosts, networks, operations, queries, storage, vms
from qarax_server.api.schemas.fields import DRIVERS

NAMED: Mapping[str, tuple[str, ...]] = {
    "HostStatus": hosts.HOST_STATUSES,
    "WantedHostStatus": hosts.WANTED_STATUSES,
    "DeployMode": hosts.DEPLOY_MODES,
    "Driver": DRIVERS,
    "StoragePoolType": storage.POOL_TYPES,
    "StoragePoolStatus": storage.POOL_STATUSES,
    "StorageObjectType": storage.OBJECT_TYPES,
    "TransferType": storage.TRANSFER_TYPES,
    "TransferStatus": storage.TRANSFER_STATUSES,
    "Hypervisor": vms.HYPERVISORS,
    "VmStatus": vms.VM_STATUSES,
    "ImageType": vms.IMAGE_TYPES,
    "InterfaceType": networks.INTERFACE_TYPES,
    "VhostMode": networks.VHOST_MODES,
    "OperationStatus": operations.OPERATION_STATUSES,
    "OperationSubject": operations.OPERATION_SUBJECTS,
    "EventSubject": operations.EVENT_SUBJECTS,
    "Sort": queries.SORTS,
}
