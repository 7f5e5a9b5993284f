"""The keys that machines identify themselves with, as text: type, blank, base64, as in known_hosts."""

from __future__ import annotations

import asyncio
import re

import asyncssh

from qarax_server.errors import HostAccessError

PATTERN = "^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]{40,1400}={0,2}$"


async def fetch_host_key(address: str, port: int, seconds: float) -> str:
    """Return the key that a machine shows, without logging in.

    Raises:
        HostAccessError: nothing answers there, or it does not speak SSH.
    """
    where = f"{address} port {port}"
    try:
        async with asyncio.timeout(seconds):
            key = await asyncssh.get_server_host_key(address, port, config=None)
    except TimeoutError as error:
        raise HostAccessError(f"{where} did not answer to SSH within {seconds:.0f} s") from error
    except OSError as error:
        raise HostAccessError(f"{where} does not answer to SSH: {error.strerror or error}") from error
    except asyncssh.Error as error:
        raise HostAccessError(f"{where} does not speak SSH as expected: {error.reason}") from error
    if key is None:
        raise HostAccessError(f"{where} showed no SSH host key")
    words = key.export_public_key("openssh").decode("ascii").split()
    return " ".join(words[:2])


def fingerprint(key: str) -> str:
    """A key as `ssh-keygen -l` shows it: `SHA256:…`.

    Raises:
        ValueError: it is none.
    """
    return read(key).get_fingerprint()


def read(key: str) -> asyncssh.SSHKey:
    """Parse a key; ValueError when it is none."""
    if not re.fullmatch(PATTERN, key):
        raise ValueError("not a public SSH key")
    try:
        return asyncssh.import_public_key(key)
    except asyncssh.KeyImportError as error:
        raise ValueError("not a public SSH key") from error
