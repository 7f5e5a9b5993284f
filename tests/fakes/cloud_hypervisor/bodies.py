"""The smaller request bodies of v53.0."""

from __future__ import annotations

from tests.fakes.cloud_hypervisor.schema import STRING, U32, U64, USIZE, listed, optional, switch
from tests.fakes.cloud_hypervisor.shapes import Variant
from tests.fakes.cloud_hypervisor.structs import Field, Struct

RESIZE = Struct(
    "VmResizeData",
    optional("desired_vcpus", U32),
    optional("desired_ram", U64),
    optional("desired_balloon", U64),
)
RESIZE_DISK = Struct("VmResizeDiskData", Field("id", STRING), Field("desired_size", U64))
RESIZE_ZONE = Struct("VmResizeZoneData", Field("id", STRING), Field("desired_ram", U64))
REMOVE_DEVICE = Struct("VmRemoveDeviceData", Field("id", STRING))
SNAPSHOT = Struct("VmSnapshotConfig", Field("destination_url", STRING))
RESTORE = Struct(
    "RestoreConfig",
    Field("source_url", STRING),
    switch("prefault"),
    Field("memory_restore_mode", Variant("Copy", "OnDemand"), "Copy"),
    listed("net_fds", Struct("RestoredNetConfig", Field("id", STRING), Field("num_fds", USIZE))),
    switch("resume"),
)
SEND_MIGRATION = Struct("VmSendMigrationData", Field("destination_url", STRING), switch("local"))
RECEIVE_MIGRATION = Struct("VmReceiveMigrationData", Field("receiver_url", STRING))
