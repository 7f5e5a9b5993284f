"""Cloud Hypervisor's program: the one on PATH, else the pinned static build, checked before it ever runs."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from qarax_tui.stack.errors import StackError

VERSION = "v53.0"
FILE = "cloud-hypervisor-static"
SIZE = 7_062_256
SHA256 = "448af3d4e59b22c2987f7df94c213ad40fb53a10d437e42b5ee6c4fce7c29ecc"
BASE_VARIABLE = "QARAX_CLOUD_HYPERVISOR_URL"
BASE = "https://github.com/cloud-hypervisor/cloud-hypervisor/releases/download"
DOWNLOAD_SECONDS = 60


def find_or_download(binaries: Path, say: Callable[[str], None]) -> Path:
    """Return the program's path, downloading it below `binaries` when there is none.

    Raises:
        StackError: it could not be fetched, or what came has another digest; that is never kept.
    """
    if found := shutil.which("cloud-hypervisor"):
        return Path(found)
    target = binaries / f"cloud-hypervisor-{VERSION}"
    if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == SHA256:
        return target
    url = f"{os.environ.get(BASE_VARIABLE, BASE).rstrip('/')}/{VERSION}/{FILE}"
    say(f"downloading Cloud Hypervisor {VERSION} from {url}")
    content = _download(url)
    if (digest := hashlib.sha256(content).hexdigest()) != SHA256:
        raise StackError(
            f"what {url} gave is not Cloud Hypervisor {VERSION}: its SHA-256 is {digest}, expected {SHA256}."
        )
    binaries.mkdir(exist_ok=True)
    fresh = target.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.chmod(0o755)
    fresh.replace(target)
    return target


def _download(url: str) -> bytes:
    if not url.startswith(("https://", "http://")):
        raise StackError(f"{BASE_VARIABLE} must be an http or https address, it gives {url}.")
    try:
        with urllib.request.urlopen(url, timeout=DOWNLOAD_SECONDS) as answer:  # noqa: S310 - checked above
            content: bytes = answer.read(SIZE + 1)
    except (OSError, urllib.error.URLError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise StackError(
            f"Cloud Hypervisor is not installed and could not be downloaded ({reason}); set "
            f"{BASE_VARIABLE} to a mirror that has {VERSION}/{FILE}, or put cloud-hypervisor on PATH."
        ) from error
    return content
