"""The stand-in walks the sheet: request → status → body."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.standin_process import StandIn, make_kernel

BAD_REQUEST = '["Bad Request"]'
MIGRATABLE = "Failed to {} migratable component"
TRANSITION = "Invalid transition: InvalidStateTransition({0}, {0})"
IMAGE_TYPE_ERROR = (
    "unknown variant `raw`, expected one of `FixedVhd`, `Qcow2`, `Raw`, `Vhdx`, `Unknown` at line 1 column 29"
)
MODE_ERROR = (
    "unknown variant `file`, expected one of `Off`, `Pty`, `Tty`, `File`, `Socket`, `Null` "
    "at line 1 column 24"
)
MAC_ERROR = (
    "The provided MAC address is invalid: parsing of 52:54:00:aa:bb:zz into a MAC address failed "
    "at line 1 column 34"
)
MIGRATING_BODY = {"destination_url": "file:///nowhere"}


def error(*chain: str) -> str:
    return json.dumps(["Error from API", *chain], separators=(",", ":"))


@pytest.fixture
def created(vmm: StandIn, tmp_path: Path) -> StandIn:
    body = {"payload": {"kernel": str(make_kernel(tmp_path))}, "serial": {"mode": "Null"}}
    assert vmm.put("vm.create", {**body, "console": {"mode": "Off"}}) == (204, "")
    return vmm


@pytest.fixture
def running(created: StandIn) -> StandIn:
    assert created.put("vm.boot") == (204, "")
    return created


WITHOUT_A_VM: list[tuple[str, str, Any, int, str]] = [
    ("PUT", "vmm.ping", None, 400, BAD_REQUEST),
    ("PATCH", "vmm.ping", None, 400, BAD_REQUEST),
    ("PATCH", "vm.boot", None, 400, ""),
    ("PATCH", "vm.create", None, 400, BAD_REQUEST),
    ("GET", "nope", None, 404, '["Not Found"]'),
    ("GET", "vm.info?x=1", None, 404, '["Not Found"]'),
    ("GET", "vm.info/", None, 404, '["Not Found"]'),
    ("PUT", "vm.coredump", b"{}", 404, '["Not Found"]'),
    ("GET", "vm.boot", None, 400, BAD_REQUEST),
    ("PUT", "vm.info", None, 400, BAD_REQUEST),
    ("PUT", "vm.create", None, 400, ""),
    ("PUT", "vm.boot", b"{}", 400, BAD_REQUEST),
    ("PUT", "vm.resize", None, 400, BAD_REQUEST),
    ("GET", "vm.info", None, 404, error("The VM info is not available", "VM is not created")),
    ("GET", "vm.counters", None, 500, error("The VM info is not available", "VM is not running")),
    ("PUT", "vm.boot", None, 404, error("The VM could not boot", "VM config is missing")),
    ("PUT", "vm.pause", None, 500, error("The VM could not be paused", "VM is not running")),
    ("PUT", "vm.resume", None, 500, error("The VM could not resume", "VM is not running")),
    ("PUT", "vm.shutdown", None, 500, error("The VM could not shutdown", "VM is not running")),
    ("PUT", "vm.reboot", None, 404, error("The VM could not reboot", "VM is not created")),
    ("PUT", "vm.delete", None, 204, ""),
    ("PUT", "vm.power-button", None, 500, error("Error triggering power button", "VM is not running")),
    ("PUT", "vm.nmi", None, 500, error("Error triggering NMI", "VM is not running")),
    ("PUT", "vm.resize", {}, 404, error("The VM could not be resized", "VM is not created")),
    (
        "PUT",
        "vm.add-disk",
        {},
        404,
        error("The disk could not be added to the VM", "VM is not created"),
    ),
    (
        "PUT",
        "vm.add-vdpa",
        {"path": "/x"},
        404,
        error("The vDPA device could not be added to the VM", "VM is not created"),
    ),
    (
        "PUT",
        "vm.remove-device",
        {"id": "x"},
        404,
        error("The device could not be removed from the VM", "VM is not created"),
    ),
    (
        "PUT",
        "vm.snapshot",
        MIGRATING_BODY,
        500,
        error("The VM could not be snapshotted", "VM is not running"),
    ),
]


@pytest.mark.parametrize("row", WITHOUT_A_VM, ids=lambda row: f"{row[0]} {row[1]}")
def test_without_a_vm(vmm: StandIn, row: tuple[str, str, Any, int, str]) -> None:
    method, endpoint, body, status, answer = row
    assert vmm.request(method, endpoint, body) == (status, answer)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "EOF while parsing an object at line 1 column 1"),
        ('{"cpus":{"boot_vcpus":2}}', "missing field `max_vcpus` at line 1 column 24"),
        ('{"cpus":{"boot_vcpus":"2"}}', 'invalid type: string "2", expected u32 at line 1 column 25'),
        ('{"cpus":{"boot_vcpus":-1}}', "invalid value: integer `-1`, expected u32 at line 1 column 24"),
        ('{"memory":{"size":1.5}}', "invalid type: floating point `1.5`, expected u64 at line 1 column 21"),
        ('{"cpus":null}', "invalid type: null, expected struct CpusConfig at line 1 column 12"),
        (
            '{"disks":[{"image_type":"raw"}]}',
            IMAGE_TYPE_ERROR,
        ),
        (
            '{"serial":{"mode":"file"}}',
            MODE_ERROR,
        ),
        ('{"disks":[{"path":"a","path":"b"}]}', "duplicate field `path` at line 1 column 28"),
        (
            '{"net":[{"rate_limiter_config":{"bw":1}}]}',
            "unknown field `bw`, expected `bandwidth` or `ops` at line 1 column 36",
        ),
        (
            '{"net":[{"mac":"52:54:00:aa:bb:zz"}]}',
            MAC_ERROR,
        ),
        ('{"net":[{"ip":"1.2.3"}]}', "invalid IP address syntax at line 1 column 21"),
        ('{"platform":{"uuid":"a","system_uuid":"b"}}', "duplicate field `system_uuid` at line 1 column 37"),
        ("{} x", "trailing characters at line 1 column 4"),
        ('{"pvpanic":tru}', "expected ident at line 1 column 15"),
        ("[" * 200, "invalid type: sequence, expected struct VmConfig at line 1 column 0"),
    ],
)
def test_json_fails_as_serde_fails(vmm: StandIn, body: str, message: str) -> None:
    status, answer = vmm.put("vm.create", body.encode())
    assert (status, json.loads(answer)) == (400, ["Failed to deserialize JSON", message])
    assert vmm.request("GET", "vm.info")[0] == 404


def test_create_checks_almost_nothing(vmm: StandIn) -> None:
    body = {
        "payload": {"kernel": "/nowhere"},
        "disks": [{"path": "/nowhere"}],
        "net": [{"tap": "nowhere"}],
        "typo": {"deep": [None, 1.5, "x"]},
    }
    assert vmm.put("vm.create", body) == (204, "")
    refusal = (500, error("The VM could not be created", "VM is already created"))
    assert vmm.put("vm.create", body) == refusal


def test_what_is_unset_is_left_out_and_the_rest_has_its_default(created: StandIn, tmp_path: Path) -> None:
    assert json.dumps(created.info(), separators=(",", ":")) == (
        '{"config":{"cpus":{"boot_vcpus":1,"max_vcpus":1,"kvm_hyperv":false,"max_phys_bits":46,'
        '"features":{"amx":false},"nested":true,"core_scheduling":"Vm","profile":"Host"},'
        '"memory":{"size":536870912,"mergeable":false,"hotplug_method":"Acpi","shared":false,'
        '"hugepages":false,"prefault":false,"reserve":false,"thp":true},'
        f'"payload":{{"kernel":"{tmp_path}/bzImage"}},"rng":{{"pci_segment":0,"src":"/dev/urandom"}},'
        '"serial":{"mode":"Null"},"console":{"mode":"Off","pci_segment":0},'
        '"debug_console":{"mode":"Off","iobase":233},"pvpanic":false,"iommu":false,"watchdog":false,'
        '"landlock_enable":false},"state":"Created","memory_actual_size":536870912}'
    )


def test_a_created_vm(created: StandIn) -> None:
    assert created.put("vm.pause") == (500, error("The VM could not be paused", "VM is not running"))
    assert created.put("vm.shutdown") == (500, error("The VM could not shutdown", "VM is not running"))
    assert created.put("vm.reboot") == (404, error("The VM could not reboot", "VM is not created"))
    disk = {"id": "d", "path": "/nowhere", "image_type": "Raw"}
    assert created.put("vm.add-disk", disk) == (204, "")
    what = "The disk could not be added to the VM"
    refusal = error(what, "Failed to validate config", "Identifier d is not unique")
    assert created.put("vm.add-disk", disk) == (500, refusal)
    assert created.put("vm.remove-device", {"id": "d"}) == (204, "")
    what = "The device could not be removed from the VM"
    refusal = error(what, 'No device with id "d" to remove')
    assert created.put("vm.remove-device", {"id": "d"}) == (500, refusal)
    assert created.put("vm.delete") == (204, "")
    assert created.request("GET", "vm.info")[0] == 404


def test_a_running_and_a_paused_vm(running: StandIn) -> None:
    assert running.put("vm.boot") == (500, error("The VM could not boot", "VM is already created"))
    resume = MIGRATABLE.format("resume")
    refusal = error("The VM could not resume", "Cannot resume VM", resume, TRANSITION.format("Running"))
    assert running.put("vm.resume") == (500, refusal)
    what, snapshot = "The VM could not be snapshotted", MIGRATABLE.format("snapshot")
    refusal = error(what, "Cannot snapshot VM", snapshot, "Trying to snapshot while VM is running")
    assert running.put("vm.snapshot", MIGRATING_BODY) == (500, refusal)
    assert running.put("vm.pause") == (204, "")
    assert running.info()["state"] == "Paused"
    pause = MIGRATABLE.format("pause")
    refusal = error("The VM could not be paused", "Cannot pause VM", pause, TRANSITION.format("Paused"))
    assert running.put("vm.pause") == (500, refusal)
    assert running.put("vm.boot") == (500, error("The VM could not boot", "VM is already created"))
    assert running.put("vm.resume") == (204, "")
    assert running.put("vm.shutdown") == (204, "")
    assert "device_tree" not in running.info()
    assert running.info()["state"] == "Created"
    assert running.put("vm.boot") == (204, "")


def test_hot_plug(running: StandIn, tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(bytes(4096))
    status, answer = running.put("vm.add-disk", {"path": str(disk), "image_type": "Raw"})
    assert (status, json.loads(answer)) == (200, {"id": "_disk0", "bdf": "0000:00:02.0"})
    status, answer = running.request("GET", "vm.counters")
    assert json.loads(answer)["_disk0"]["read_latency_min"] == 18446744073709551615
    assert json.loads(answer)["_disk0"]["read_latency_avg"] == 1844674407370955
    assert running.put("vm.remove-device", {"id": "_disk0"}) == (204, "")
    what, manager = "The device could not be removed from the VM", "Error from device manager"
    missing = "Failed to find device corresponding to the given identifier: x"
    assert running.put("vm.remove-device", {"id": "x"}) == (500, error(what, manager, missing))


def test_the_end_is_a_200(running: StandIn) -> None:
    assert running.put("vmm.shutdown") == (200, "")
    assert running.exit_code() == 0
