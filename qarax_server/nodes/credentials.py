"""This server's own certificate and the CA it trusts, read once when the server starts."""

from __future__ import annotations

import ssl
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import grpc
from cryptography import x509

from qarax_server.certificates import folders
from qarax_server.certificates.authority import CA_CERTIFICATE, HOW
from qarax_server.errors import SettingsError
from qarax_server.settings import NodeTls

WARN_DAYS = 30


@dataclass(frozen=True)
class Credentials:
    """PEM texts. `ends` is when this server's own certificate is valid no more."""

    ca: bytes
    certificate: bytes
    key: bytes = field(repr=False)
    ends: datetime

    @property
    def days_left(self) -> float:
        return (self.ends - datetime.now(UTC)).total_seconds() / 86400

    def for_grpc(self) -> grpc.ChannelCredentials:
        """For channels to nodes: TLS 1.2 and up is gRPC's own rule."""
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)

    def for_handshakes(self) -> ssl.SSLContext:
        """For looking at who answers: the same trust, and names left to whoever looks."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False
        context.load_verify_locations(cadata=self.ca.decode("ascii"))
        context.set_alpn_protocols(["h2"])
        # ssl takes a certificate from files only; this one is 0600 and gone at once
        with tempfile.NamedTemporaryFile(prefix="qarax-") as file:
            file.write(self.certificate + self.key)
            file.flush()
            context.load_cert_chain(file.name)
        return context


def load(tls: NodeTls) -> Credentials | None:
    """Read the files; None when none are configured.

    Raises:
        SettingsError: one is missing, unreadable or not what it should be.
    """
    directory, own = Path(tls.directory), Path(tls.directory) / folders.SERVER
    named = (tls.ca, tls.certificate, tls.key)
    if not tls.directory and not any(named):
        return None
    if not tls.directory and not all(named):
        raise SettingsError("node_tls needs all of ca, certificate and key, or directory, or none of them")
    places = [
        Path(tls.ca or directory / CA_CERTIFICATE),
        Path(tls.certificate or own / folders.CERTIFICATE),
        Path(tls.key or own / folders.KEY),
    ]
    try:
        ca, certificate, key = (place.read_bytes() for place in places)
        made = Credentials(
            ca, certificate, key, x509.load_pem_x509_certificate(certificate).not_valid_after_utc
        )
        made.for_handshakes()
    except OSError as error:
        # an SSLError is one too, and names no file
        which = f"{error.filename}: " if error.filename else ""
        raise SettingsError(f"node_tls cannot be used: {which}{error.strerror or error}; {HOW}") from error
    except ValueError as error:
        raise SettingsError(f"node_tls: {places[1]} is no certificate in PEM; {HOW}") from error
    if places[2].stat().st_mode & 0o007:
        raise SettingsError(f"node_tls: {places[2]} can be read by everybody; chmod 600 {places[2]}")
    return made
