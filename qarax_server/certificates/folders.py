"""Certificates in files: `ca.pem`, `certificate.pem` and `key.pem` in a folder of their owner's.

Keys are 0600 and written before the certificate that belongs to them; each file is replaced whole.
"""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from qarax_server.certificates.authority import CA_CERTIFICATE, CA_KEY, Authority, Issued
from qarax_server.errors import SettingsError

CERTIFICATE, KEY = "certificate.pem", "key.pem"
SERVER, HOSTS = "server", "hosts"
PUBLIC, SECRET = 0o644, 0o600
OTHERS_WRITE = 0o022


def create(directory: Path, days: int) -> Authority:
    """Make a CA and its server's folder in a directory that holds none.

    Raises:
        SettingsError: there is one already, or others may write there.
        OSError: the directory cannot be written.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.stat().st_mode & OTHERS_WRITE:
        raise SettingsError(f"{directory} can be written by others, who could put a CA there: chmod 700")
    for name in (CA_CERTIFICATE, CA_KEY):
        if (directory / name).exists():
            raise SettingsError(
                f"{directory / name} exists: a CA is never overwritten, since every certificate depends on "
                "it. Choose another --directory, or move the old one away"
            )
    authority = Authority.create(days)
    write(directory / CA_KEY, authority.key_pem, SECRET)
    write(directory / CA_CERTIFICATE, authority.trusted, PUBLIC)
    return authority


def keep(folder: Path, issued: Issued) -> None:
    """Write what was issued; the folder is its owner's alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write(folder / KEY, issued.key, SECRET)
    write(folder / CERTIFICATE, issued.certificate, PUBLIC)
    write(folder / CA_CERTIFICATE, issued.ca, PUBLIC)


def ensure(folder: Path, authority: Authority, issued: Issued, *, renew: bool = False) -> datetime | None:
    """Keep what was issued and return None; unless what is there will do, then return when that ends.

    `renew`: keep what was issued in any case.
    """
    until = None if renew else good_until(folder, authority, issued)
    if until is None:
        keep(folder, issued)
    return until


def good_until(folder: Path, authority: Authority, like: Issued) -> datetime | None:
    """When the certificate in a folder ends; None unless it would do for longer.

    It will do when it carries the same names as `like`, is of this CA, fits its key, and has more than a
    third of its time left.
    """
    try:
        kept = x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())
        key = serialization.load_pem_private_key((folder / KEY).read_bytes(), None)
        trusted = (folder / CA_CERTIFICATE).read_bytes()
        kept.verify_directly_issued_by(authority.certificate)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is made anew
        return None
    wanted = x509.load_pem_x509_certificate(like.certificate)
    same = (kept.subject, _names(kept), trusted) == (wanted.subject, _names(wanted), like.ca)
    begin, end = kept.not_valid_before_utc, kept.not_valid_after_utc
    lasts = end - datetime.now(UTC) > (end - begin) / 3
    return end if same and lasts and kept.public_key() == key.public_key() else None


def _names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def write(path: Path, content: bytes, mode: int) -> None:
    """Replace a file at once, durably, with these permissions from its first byte on."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)
