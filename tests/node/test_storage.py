"""Paths beneath their pool, formats by header, pools, disks: on real files."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from qarax_node.errors import NodeError
from qarax_node.storage import formats, paths, pools

OTHER_FILE_SYSTEM = "/dev/shm"  # noqa: S108  the one that every Linux has


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    made = tmp_path / "pool"
    made.mkdir(mode=0o755)
    (made / "inside").mkdir(mode=0o755)
    (made / "inside" / "file").write_bytes(b"content")
    return made


def refusal(pool: Path, path: str) -> str:
    with pytest.raises(NodeError) as refused:
        os.close(paths.open_file(str(pool), path))
    return refused.value.code


def test_a_file_beneath_its_pool_is_opened(pool: Path) -> None:
    descriptor = paths.open_file(str(pool), f"{pool}/inside/file")
    assert os.read(descriptor, 100) == b"content"
    os.close(descriptor)


@pytest.mark.parametrize(
    "path",
    [
        "inside/file",
        "{pool}",
        "{pool}/../pool/inside/file",
        "{pool}/inside//file",
        "{pool}/./inside/file",
        "{pool}/in\0side",
        "/etc/passwd",
        "{pool}extra/file",
        "",
    ],
)
def test_text_that_is_no_path_inside_the_pool_is_refused(pool: Path, path: str) -> None:
    assert refusal(pool, path.format(pool=pool)) in ("path_invalid", "path_outside_pool")


def test_symbolic_and_magic_links_are_refused(pool: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret")
    (pool / "file").symlink_to(tmp_path / "outside")
    (pool / "directory").symlink_to(tmp_path)
    (pool / "within").symlink_to(pool / "inside")
    (pool / "magic").symlink_to("/proc/self/root")
    for path in ("file", "directory/outside", "within/file", "magic/etc/passwd"):
        assert refusal(pool, f"{pool}/{path}") == "path_outside_pool"


def test_a_pool_that_is_a_link_is_refused(pool: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(pool)
    assert refusal(tmp_path / "link", f"{tmp_path}/link/inside/file") == "path_outside_pool"


def test_directories_that_others_can_write_are_refused(pool: Path) -> None:
    for directory in (pool, pool / "inside"):
        for mode in (0o757, 0o775):
            directory.chmod(mode)
            assert refusal(pool, f"{pool}/inside/file") == "pool_writable_by_others"
        directory.chmod(0o755)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_directories_that_belong_to_others_are_refused(pool: Path) -> None:
    for directory in (pool, pool / "inside"):
        os.chown(directory, 65534, 65534)
        assert refusal(pool, f"{pool}/inside/file") == "pool_writable_by_others"
        os.chown(directory, 0, 0)


def test_what_is_missing_says_so(pool: Path) -> None:
    assert refusal(pool, f"{pool}/nothing") == "file_missing"
    assert refusal(pool.with_name("nowhere"), f"{pool.with_name('nowhere')}/x") == "file_missing"


def test_a_fifo_or_socket_is_no_disk_and_blocks_nobody(pool: Path) -> None:
    os.mkfifo(pool / "fifo")
    directory = os.open(pool, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"/proc/self/fd/{directory}/socket")
    os.close(directory)
    for name in ("fifo", "socket"):
        with pytest.raises(NodeError):
            formats.check(str(pool), f"{pool}/{name}", "disk", "disks.0", "raw")


HEADERS = {
    "elf": b"\x7fELF",
    "bzimage": bytes(0x202) + b"HdrS",
    "gzip": b"\x1f\x8b\x08",
    "cpio": b"070701",
    "zstd": b"\x28\xb5\x2f\xfd",
    "xz": b"\xfd7zXZ\0",
    "qcow2": b"QFI\xfb",
    "iso": bytes(0x8001) + b"CD001",
    "vhd": bytes(512) + b"conectix".ljust(512, b"\0"),
    "raw": b"anything",
    "unknown": b"",
}


@pytest.mark.parametrize(("name", "header"), HEADERS.items())
def test_formats_are_told_by_their_header(pool: Path, name: str, header: bytes) -> None:
    (pool / "file").write_bytes(header)
    found = pools.check_file(str(pool), f"{pool}/file")
    assert (found.exists, found.size, found.format) == (True, len(header), name)


@pytest.mark.parametrize(
    ("header", "kind", "declared", "code"),
    [
        ("elf", "kernel", "", ""),
        ("bzimage", "kernel", "", ""),
        ("gzip", "kernel", "", "kernel_format"),
        ("unknown", "kernel", "", "kernel_format"),
        ("cpio", "initrd", "", ""),
        ("elf", "initrd", "", "initrd_format"),
        ("raw", "disk", "raw", ""),
        ("gzip", "disk", "raw", ""),
        ("qcow2", "disk", "qcow2", ""),
        ("qcow2", "disk", "raw", "image_type_mismatch"),
        ("raw", "disk", "qcow2", "image_type_mismatch"),
        ("qcow2", "readonly_disk", "raw", "image_type_mismatch"),
        ("unknown", "disk", "raw", "disk_format"),
        ("vhd", "disk", "raw", "image_type_mismatch"),
    ],
)
def test_a_file_must_be_what_it_is_declared(
    pool: Path, header: str, kind: str, declared: str, code: str
) -> None:
    whole = HEADERS[header].ljust(1024, b"\0") if HEADERS[header] else b""
    (pool / "file").write_bytes(whole)
    if not code:
        formats.check(str(pool), f"{pool}/file", kind, "field", declared)
        return
    with pytest.raises(NodeError) as refused:
        formats.check(str(pool), f"{pool}/file", kind, "field", declared)
    assert (refused.value.code, refused.value.field) == (code, "field")


def test_a_pool_is_made_when_missing_and_not_for_others_to_write(tmp_path: Path) -> None:
    made = tmp_path / "a" / "pool"
    room = pools.check_pool(str(made), "local", "")
    assert 0 < room.available <= room.capacity
    assert made.stat().st_mode & 0o777 == 0o755


def test_an_nfs_pool_must_be_mounted(pool: Path) -> None:
    with pytest.raises(NodeError, match="nothing is mounted"):
        pools.check_pool(str(pool), "nfs", "server:/export")
    assert not (pool.parent / "never").exists()


def test_a_blank_disk_is_sparse_and_never_replaces_a_file(pool: Path) -> None:
    made = pools.create_disk(str(pool), f"{pool}/disk", 1 << 30, None)
    assert (made.size, made.format) == (1 << 30, "raw")
    assert (pool / "disk").stat().st_blocks * 512 < 1 << 20
    with pytest.raises(NodeError) as refused:
        pools.create_disk(str(pool), f"{pool}/disk", 512, None)
    assert refused.value.kind == "exists"
    with pytest.raises(NodeError, match="multiple of 512"):
        pools.create_disk(str(pool), f"{pool}/other", 513, None)
    assert sorted(path.name for path in pool.iterdir()) == ["disk", "inside"]


def test_a_clone_is_the_same_bytes_with_its_holes(pool: Path) -> None:
    with (pool / "source").open("wb") as file:
        file.write(b"begin")
        file.seek(8 << 20)
        file.write(b"end")
        file.truncate(16 << 20)
    made = pools.create_disk(str(pool), f"{pool}/clone", 0, (str(pool), f"{pool}/source"))
    assert made.size == 16 << 20
    assert (pool / "clone").read_bytes() == (pool / "source").read_bytes()
    assert (pool / "clone").stat().st_blocks * 512 < 1 << 20


def test_deleting_is_repeatable_and_stays_inside(pool: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("kept")
    (pool / "link").symlink_to(tmp_path)
    for _ in range(2):
        pools.delete_file(str(pool), f"{pool}/inside/file")
    assert not (pool / "inside" / "file").exists()
    with pytest.raises(NodeError):
        pools.delete_file(str(pool), f"{pool}/link/outside")
    with pytest.raises(NodeError, match="directory"):
        pools.delete_file(str(pool), f"{pool}/inside")
    assert (tmp_path / "outside").exists()


def test_a_disk_is_cloned_to_another_file_system(pool: Path) -> None:
    with tempfile.TemporaryDirectory(dir=OTHER_FILE_SYSTEM) as other:
        if Path(other).stat().st_dev == pool.stat().st_dev:
            pytest.skip(f"{OTHER_FILE_SYSTEM} is on the file system of the tests")
        (pool / "disk").write_bytes(bytes(1 << 20) + b"data" * (1 << 19))
        made = pools.create_disk(other, f"{other}/clone", 0, (str(pool), f"{pool}/disk"))
        assert made.size == 3 << 20
        assert Path(other, "clone").read_bytes() == (pool / "disk").read_bytes()
