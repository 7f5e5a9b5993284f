"""Input that ends early, at every byte: CVE-2026-40251 of Incus, where a short header was read past its end.

Here every length of everything that is read from a guest, another process or a file ends in an answer or in a
refusal with a sentence.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from qarax_node import files
from qarax_node.drivers.base import DiskSpec, DriverError
from qarax_node.drivers.qemu import images
from qarax_node.errors import NodeError
from qarax_node.keeper import index
from qarax_node.machines.node_file import NodeFile
from qarax_node.storage import formats
from qarax_server.api.json_body import parse_json
from qarax_server.certificates import Authority
from qarax_server.errors import BadRequest, Invalid, SettingsError
from qarax_tui.client.sanitise import safe_json
from qarax_tui.stack.services import accepts
from tests.node.keeping import KeeperProcess, until
from tests.security.guarded import Tokens, bearer
from tests.security.tls import Ca
from tests.server.running import ControlPlane, new_vm

pytestmark = pytest.mark.security

QCOW2 = b"QFI\xfb" + struct.pack(">IQIIQ", 3, 104, 8, 16, 1 << 20) + bytes(72) + b"/etc/shadow"
HEADS = {name: bytes(offset) + magic for offset, magic, name in formats.MAGICS} | {"qcow2": QCOW2}


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[KeeperProcess]:
    runtime = tmp_path / "vms"
    runtime.mkdir(mode=0o700)
    keeper = KeeperProcess(runtime)
    keeper.start()
    yield keeper
    keeper.kill()


def lengths(whole: bytes) -> Iterator[bytes]:
    """Every beginning of it; of long fill only its last bytes."""
    for length in range(len(whole)):
        if length < 600 or length > len(whole) - 20:
            yield whole[:length]


def test_cve_2026_40251_incus_image_headers(tmp_path: Path, sizes: dict[str, int]) -> None:
    pool = tmp_path / "pool"
    pool.mkdir(mode=0o755)
    disk, cut = pool / "disk", 0
    for whole in HEADS.values():
        for head in lengths(whole):
            disk.write_bytes(head)
            cut += 1
            for declared in ("raw", "qcow2"):
                try:
                    formats.check(str(pool), str(disk), "disk", "disks.0", declared)
                except NodeError as error:
                    assert error.code in {"image_type_mismatch", "disk_format"}  # noqa: PT017 - either is right
                with contextlib.suppress(DriverError):
                    images.check(0, DiskSpec("data", disk, readonly=False, image_type=declared))
    sizes["inputs that end early"] = sizes.get("inputs that end early", 0) + cut


def test_a_qcow2_of_which_only_the_backing_file_arrived_is_refused_from_there_on(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    for head in lengths(QCOW2):
        disk.write_bytes(head)
        spec = DiskSpec("data", disk, readonly=False, image_type="qcow2")
        if len(head) >= 16:
            with pytest.raises(DriverError, match="a backing file"):
                images.check(0, spec)


async def test_frames_of_the_keeper(keeper: KeeperProcess) -> None:
    """A client that hangs up in the middle of a frame ends its own connection and nothing else."""
    await until(partial(accepts, keeper.socket))
    frame = json.dumps({"id": 1, "v": 1, "do": "hello"}).encode()
    whole = struct.pack(">I", len(frame)) + frame
    for head in lengths(whole):
        reader, writer = await asyncio.open_unix_connection(keeper.socket)
        writer.write(head)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
    hostile = (
        b"\xff\xff\xff\xff",
        struct.pack(">I", 0),
        struct.pack(">I", 2) + b"[]",
        struct.pack(">I", 1) + b"\xff",
    )
    for head in hostile:
        reader, writer = await asyncio.open_unix_connection(keeper.socket)
        writer.write(head)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 5)
        writer.close()
    reader, writer = await asyncio.open_unix_connection(keeper.socket)
    writer.write(whole)
    (size,) = struct.unpack(">I", await asyncio.wait_for(reader.readexactly(4), 5))
    answer = json.loads(await reader.readexactly(size))
    writer.close()
    assert answer["ok"]["pid"] == keeper.pid


def test_files_of_the_nodes_own(tmp_path: Path) -> None:
    """What a crash of the host cut: the index beside a console, the node's id, a VM's spec."""
    lines = [{"offset": number, "time": 1.5, "kind": "boot", "text": "ü"} for number in range(3)]
    index.append(str(tmp_path / "index"), lines)
    whole = (tmp_path / "index").read_bytes()
    for head in lengths(whole):
        found = index.parse(head)
        assert found == lines[: len(found)]
    node = NodeFile(tmp_path)
    node.begin()
    node.close()
    kept = (tmp_path / "node.json").read_bytes()
    for head in lengths(kept.rstrip()):
        (tmp_path / "node.json").write_bytes(head)
        assert files.read_json(tmp_path / "node.json") is None


def test_json_of_a_client_and_of_a_server() -> None:
    whole = json.dumps(
        {"name": "ü€😀", "list": [1, 2.5, None, True, {"a": "\\\n"}]}, ensure_ascii=False
    ).encode()
    for head in lengths(whole):
        with pytest.raises((BadRequest, Invalid)):
            parse_json(head)
        with pytest.raises(ValueError, match=r".+"):
            safe_json(head)


async def test_bodies_over_http(plane: ControlPlane, tokens: Tokens) -> None:
    whole = json.dumps(new_vm("ü", networks=[{"id": "lan"}])).encode()
    for head in lengths(whole):
        async with plane.session.post(
            f"{plane.url}/vms", data=head, headers=bearer(tokens.admin)
        ) as response:
            assert response.status in {400, 422}, (head, await response.text())


def test_certificates(tmp_path: Path) -> None:
    ca = Ca(tmp_path / "tls")
    for name in ("ca.pem", "ca.key"):
        whole = (ca.directory / name).read_bytes()
        for head in lengths(whole.rstrip()):
            (ca.directory / name).write_bytes(head)
            with pytest.raises(SettingsError):
                Authority.load(ca.directory)
        (ca.directory / name).write_bytes(whole)
    assert Authority.load(ca.directory).trusted == ca.authority.trusted
