"""Pools on mounts: what mountinfo says, and a real mount in a namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qarax_node.errors import NodeError
from qarax_node.storage import mounts, pools

TABLE = r"""22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 22 0:35 / /srv/images rw,relatime shared:20 - nfs4 nas.example:/export/images rw,vers=4.2,addr=192.0.2.9
41 22 0:36 / /srv/with\040space rw - nfs nas.example:/a\134b rw
42 22 0:37 / /srv/twice rw shared:5 master:6 - nfs4 nas.example:/old rw
43 42 0:38 / /srv/twice rw - nfs4 nas.example:/new rw
44 22 0:39 / /srv/bound rw - fuse.glusterfs gluster.example:volume rw
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(TABLE)
    return path


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("/srv/images", ""),
        ("/srv/images", "nas.example:/export/images"),
        ("/srv/images", "nas.example:/export/images/"),
        ("/srv/with space", "nas.example:/a\\b"),
        ("/srv/twice", "nas.example:/new"),
        ("/srv/bound", "gluster.example:volume"),
    ],
)
def test_a_mount_from_its_source_will_do(table: Path, path: str, source: str) -> None:
    mounts.check_mounted(path, source, table)


@pytest.mark.parametrize(
    ("path", "source", "code", "said"),
    [
        ("/srv/other", "nas.example:/export", "nfs_not_mounted", "mount nas.example:/export there"),
        ("/srv/images/below", "", "nfs_not_mounted", "nothing is mounted at /srv/images/below"),
        ("/srv/twice", "nas.example:/old", "nfs_source", "is mounted from nas.example:/new, not from"),
        ("/srv/images", "nas.example:/export", "nfs_source", "not from nas.example:/export"),
    ],
)
def test_anything_else_is_refused(table: Path, path: str, source: str, code: str, said: str) -> None:
    with pytest.raises(NodeError, match=said) as refused:
        mounts.check_mounted(path, source, table)
    assert (refused.value.code, refused.value.field) == (code, "config")


def test_this_machines_own_table_is_read() -> None:
    found = mounts.mounts(mounts.MOUNTINFO.read_text())
    assert {"/", "/proc"} <= {mount.point for mount in found}


IN_A_NAMESPACE = """
import subprocess, sys
from qarax_node.errors import NodeError
from qarax_node.storage import pools

def say(path, source):
    try:
        print("ok", pools.check_pool(path, "nfs", source).capacity)
    except NodeError as error:
        print(error.code)

path = sys.argv[1]
say(path, "")
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "nas:/export", path], check=True)
say(path, "nas:/export")
say(path, "nas:/other")
say(path, "")
subprocess.run(["umount", path], check=True)
say(path, "nas:/export")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_real_mount_comes_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "a pool"
    path.mkdir(mode=0o755)
    apart = ["unshare", "--mount", "--propagation", "private"]
    command = [*apart, sys.executable, "-c", IN_A_NAMESPACE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "unshare failed" in done.stderr:
        pytest.skip(f"no mount namespaces here: {done.stderr}")
    assert done.stdout.splitlines() == [
        "nfs_not_mounted",
        f"ok {1 << 20}",
        "nfs_source",
        f"ok {1 << 20}",
        "nfs_not_mounted",
    ], done.stderr


def test_a_look_makes_no_directory(tmp_path: Path) -> None:
    unused = tmp_path / "pool"
    assert pools.check_pool(str(unused), "local", "", look_only=True) == pools.Pool(0, 0)
    assert not unused.exists()
    pools.check_pool(str(unused), "local", "")
    assert pools.check_pool(str(unused), "local", "", look_only=True).capacity > 0
