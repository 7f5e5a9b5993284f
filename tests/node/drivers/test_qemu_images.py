"""qcow2 images that lead out of their pool are refused before QEMU opens them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from qarax_node.drivers.base import DiskSpec, DriverError
from qarax_node.drivers.qemu import images


def image(path: Path, *options: str) -> DiskSpec:
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img is not installed")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, path, "1M"], check=True)
    return DiskSpec("data", path, readonly=False, image_type="qcow2")


def test_an_image_of_its_own_is_fine(tmp_path: Path) -> None:
    for compat in ("0.10", "1.1"):
        images.check(0, image(tmp_path / compat, "-o", f"compat={compat}"))


def test_a_backing_file_is_refused_with_the_fix(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(1 << 20))
    leading = image(tmp_path / "leading", "-b", str(secret), "-F", "raw")
    with pytest.raises(DriverError, match=r"a backing file.*qemu-img convert") as refused:
        images.check(1, leading)
    assert (refused.value.code, refused.value.field) == ("disk_not_self_contained", "disks.1")


def test_an_external_data_file_is_refused(tmp_path: Path) -> None:
    leading = image(tmp_path / "leading", "-o", f"data_file={tmp_path / 'secret'}")
    with pytest.raises(DriverError, match="an external data file"):
        images.check(0, leading)


def test_an_image_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="gone cannot be read: No such file"):
        images.check(0, DiskSpec("data", tmp_path / "gone", readonly=True, image_type="qcow2"))
