"""What went wrong in systems of our kind, tried on ours: what happened there, and how it is shut here.

CVE-2026-40251 (input that ends early) is `test_truncated_input.py`.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from qarax_node.drivers.base import DiskSpec, DriverError
from qarax_node.drivers.qemu import images
from qarax_node.errors import NodeError
from qarax_node.storage import formats, paths
from qarax_tui.client.sanitise import UNSAFE
from tests.fakes.control_plane import ControlPlane as ControlPlaneStandIn
from tests.security.guarded import ROOT, Tokens, bearer, run
from tests.server.running import ControlPlane, new_vm

pytestmark = pytest.mark.security

QCOW2 = b"QFI\xfb" + (3).to_bytes(4, "big")
NAMES = [
    "-rf",
    "--daemonize",
    "../up",
    "a/b",
    "a b",
    "a,guest=b",
    "a\nb",
    "a\x1b[2J",
    "$(id)",
    "",
    "é",
    "a" * 64,
]


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """A pool as a node would make it."""
    made = tmp_path / "pool"
    made.mkdir(mode=0o755)
    return made


@pytest.fixture
def admin(plane: ControlPlane, tokens: Tokens) -> ControlPlane:
    """The control plane for one who may do everything."""
    plane.session.headers.update(bearer(tokens.admin))
    return plane


async def pool_of(plane: ControlPlane, name: str = "images") -> str:
    body = {"name": name, "pool_type": "local", "config": {"path": f"/srv/{name}"}}
    pool_id: str = await plane.ok("POST", "/storage-pools", body)
    return pool_id


def test_cve_2024_32498_nova_an_image_that_names_a_file_of_the_host(pool: Path) -> None:
    """A qcow2 with an external data file made Nova open that file: such headers are refused at a start."""
    header = bytearray(QCOW2 + bytes(512))
    header[72:80] = (1 << 2).to_bytes(8, "big")
    (pool / "disk").write_bytes(header)
    with pytest.raises(DriverError, match="an external data file"):
        images.check(0, DiskSpec("data", pool / "disk", readonly=False, image_type="qcow2"))
    backed = bytearray(QCOW2 + bytes(512))
    backed[8:16] = (104).to_bytes(8, "big")
    (pool / "disk").write_bytes(backed)
    with pytest.raises(DriverError, match="a backing file"):
        images.check(0, DiskSpec("data", pool / "disk", readonly=False, image_type="qcow2"))


@pytest.mark.parametrize("magic", [b"KDMV", b"vhdxfile"])
def test_cve_2022_47951_nova_an_image_of_a_format_nobody_declared(pool: Path, magic: bytes) -> None:
    """A VMDK that named a file of the host was probed and converted: formats are declared and held to."""
    (pool / "disk").write_bytes(magic + bytes(4096))
    for declared in ("raw", "qcow2"):
        with pytest.raises(NodeError) as refused:
            formats.check(str(pool), str(pool / "disk"), "disk", "disks.0", declared)
        assert refused.value.code == "image_type_mismatch"


async def test_cve_2022_47951_nova_only_two_formats_can_be_declared(admin: ControlPlane) -> None:
    for declared in ("vmdk", "auto", "", "RAW"):
        disk = {"storage_object_id": "00000000-0000-4000-8000-000000000000", "image_type": declared}
        status, answer, _ = await admin.request("POST", "/vms", new_vm("a", disks=[disk]))
        assert (status, list(answer["errors"])) == (422, ["disks.0.image_type"])


def test_cve_2026_27211_cloud_hypervisor_a_guest_turns_its_raw_disk_into_a_qcow2(pool: Path) -> None:
    """A header that the guest wrote was believed at the next start: what is declared decides, or no start."""
    disk = pool / "disk"
    disk.write_bytes(bytes(4096))
    formats.check(str(pool), str(disk), "disk", "disks.0", "raw")
    disk.write_bytes(QCOW2 + bytes(4096))
    with pytest.raises(NodeError, match="declared raw and its header says qcow2"):
        formats.check(str(pool), str(disk), "disk", "disks.0", "raw")


@pytest.mark.parametrize("name", NAMES)
async def test_cve_2026_62867_incus_a_name_that_becomes_an_option(admin: ControlPlane, name: str) -> None:
    """Text of a request reached a command as an option: no name begins with a dash or is more than a word."""
    pool_id = await pool_of(admin)
    bodies: dict[str, dict[str, Any]] = {
        "/hosts": {"name": name, "address": "127.0.0.1", "port": 1, "host_user": "root"},
        "/vms": new_vm(name),
        "/storage-pools": {"name": name, "pool_type": "local"},
        "/storage-objects": {
            "name": name,
            "storage_pool_id": pool_id,
            "object_type": "disk",
            "size_bytes": 1,
        },
        f"/storage-pools/{pool_id}/transfers": {"name": name, "source": "/x", "object_type": "disk"},
        f"/storage-pools/{pool_id}/disks": {"name": name, "size_bytes": 1048576},
    }
    for path, body in bodies.items():
        status, answer, _ = await admin.request("POST", path, body)
        assert (status, "name" in answer["errors"]) == (422, True), (path, answer)


@pytest.mark.parametrize(
    "path", ["/srv/images/../../etc/shadow", "/etc/shadow", "/srv/imagesmore/x", "images/x"]
)
async def test_cve_2015_5313_libvirt_a_volume_outside_its_pool(admin: ControlPlane, path: str) -> None:
    """A volume called `../../etc/passwd` was made where it said: a path is inside its pool or refused."""
    body = {"name": "a", "storage_pool_id": await pool_of(admin), "object_type": "disk", "size_bytes": 1}
    status, answer, _ = await admin.request("POST", "/storage-objects", {**body, "config": {"path": path}})
    assert (status, answer["errors"].keys() & {"config.path", "config"} != set()) == (422, True), answer


def test_cve_2026_48752_incus_a_link_in_a_pool(pool: Path, tmp_path: Path) -> None:
    """A path that was checked led elsewhere when it was opened: the kernel itself follows no link."""
    (tmp_path / "secret").write_text("secret")
    (pool / "file").symlink_to(tmp_path / "secret")
    (pool / "folder").symlink_to(tmp_path)
    for inside in ("file", "folder/secret"):
        with pytest.raises(NodeError) as refused:
            paths.open_file(str(pool), f"{pool}/{inside}")
        assert refused.value.code == "path_outside_pool"


def test_cve_2025_64324_kubevirt_a_file_of_another_owner_through_a_pool(pool: Path, tmp_path: Path) -> None:
    """A disk path led a privileged process to any file: links are refused, and open directories."""
    (pool / "disk.img").symlink_to(tmp_path / "made-by-a-stranger")
    with pytest.raises(NodeError):
        paths.open_file(str(pool), f"{pool}/disk.img", os.O_RDWR | os.O_CREAT)
    assert not (tmp_path / "made-by-a-stranger").exists()
    pool.chmod(0o777)
    with pytest.raises(NodeError) as refused:
        paths.open_file(str(pool), f"{pool}/disk.img", os.O_RDWR)
    assert refused.value.code == "pool_writable_by_others"


def test_cve_2019_10161_libvirt_a_reader_who_names_files() -> None:
    """A read-only client named any file, and what it should run: no operation of a viewer takes a path."""
    document = yaml.safe_load((ROOT / "openapi.yaml").read_text(encoding="utf-8"))
    seen = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation["x-role"] != "viewer":
                continue
            seen += 1
            assert method == "get", path
            assert "requestBody" not in operation, path
            names = {each["name"] for each in operation.get("parameters", ())}
            assert not {name for name in names if re.search("path|source$|command|url|file$", name)}, path
    assert seen > 20


async def test_cve_2022_35508_proxmox_a_request_that_is_passed_on(
    plane: ControlPlane, tokens: Tokens
) -> None:
    """The API's daemon fetched what a request named, as root: a foreign address in the request is ours."""
    host, _, port = plane.url.removeprefix("http://").partition(":")
    for target in (
        "http://192.0.2.1/vms",
        "//192.0.2.1/vms",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/swagger-ui/../x",
    ):
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {tokens.viewer}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        status = int(answer.split(b" ", 2)[1])
        assert status in {200, 400, 401, 404}, (target, answer)
        assert b"root:" not in answer
        if status == 200:
            assert answer.endswith(b"[]"), "its own list of VMs"


async def test_cve_2021_20259_foreman_a_password_in_an_answer(admin: ControlPlane) -> None:
    """The password of a compute resource came back from the API: a host's is thrown away as it comes."""
    host = {"name": "h", "address": "127.0.0.1", "port": 1, "host_user": "root", "password": "hunter2"}
    prefer = {"Prefer": "return=representation"}
    texts = [str(await admin.ok("POST", "/hosts", host, **prefer))]
    texts += [str(await admin.ok("GET", path)) for path in ("/hosts", "/events", "/operations")]
    assert "127.0.0.1" in texts[0]
    assert not [text for text in texts if "hunter2" in text]


async def test_cve_2021_25743_kubectl_escapes_in_what_is_listed() -> None:
    """Escape sequences of an object reached the terminal: what a command prints holds none of them.

    The whole corpus, through every view: `test_guest_to_operator.py`.
    """
    evil = "web\x1b[2J\x1b]0;title\x07\x9b31m\rdb\u202egnp\x08\x08\x1b]52;c;aGk=\x07"
    async with ControlPlaneStandIn() as stand_in:
        vm_id = stand_in.add("vm", name=evil, status="running", status_reason=evil)
        listed = await run("qarax_tui.cli", "--server", stand_in.url, "--once", "vms")
        stand_in.refuse("GET", "/vms", 500, {"message": evil})
        refused = await run("qarax_tui.cli", "--server", stand_in.url, "--once", "vms")
    assert vm_id in listed.out
    assert refused.status == 1
    for text in (listed.out, refused.err):
        assert "web\N{SYMBOL FOR ESCAPE}[2J" in text
        assert not [line for line in text.splitlines() if UNSAFE.search(line)]


async def test_cve_2018_25031_swagger_ui_a_document_of_the_attackers(plane: ControlPlane) -> None:
    """`?url=` made the page show and call another API: the page has one document and is told so."""
    evil = "https://example.org/evil.json"
    _, page, response = await plane.request("GET", f"/swagger-ui?url={evil}&configUrl={evil}")
    assert page == (await plane.request("GET", "/swagger-ui"))[1]
    policy = response.headers["Content-Security-Policy"]
    assert "connect-src 'self'" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert "frame-ancestors 'none'" in policy
    _, start, _ = await plane.request("GET", "/swagger-ui/start.js")
    assert "queryConfigEnabled: false" in start
