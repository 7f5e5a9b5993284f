"""The CA itself: makes its key, signs certificates of hosts and of the control plane (X.509, RFC 5280).

ECDSA on P-256 throughout: what every TLS library has. Certificates begin a day early, so that a clock that
is behind refuses none; the two purposes, *server* for nodes and *client* for the control plane, keep either
from passing for the other.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from qarax_server.certificates.identities import SERVER_URI, dns_name, host_uri, is_reserved
from qarax_server.errors import SettingsError

CA_DAYS, HOST_DAYS = 3650, 365
BACKDATED = timedelta(days=1)
LONGEST_COMMON_NAME = 64
CA_CERTIFICATE, CA_KEY = "ca.pem", "ca.key"
HOW = "make a CA with: qarax-server ca init"


@dataclass(frozen=True)
class Issued:
    """What a host or a server needs, as PEM; `key` is its secret."""

    ca: bytes
    certificate: bytes
    key: bytes = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True)
class Authority:
    """A CA with its key. `trusted` is `ca.pem` as it is: during a change of CA it holds two."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    trusted: bytes
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @classmethod
    def create(cls, days: int = CA_DAYS) -> Authority:
        """Make a new one."""
        key = _new_key()
        name = _name("qarax CA")
        builder = _builder(name, name, key, datetime.now(UTC), days)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_key_usage(signs=True), critical=True)
        certificate = builder.sign(key, hashes.SHA256())
        return cls(certificate, key, _pem(certificate))

    @classmethod
    def load(cls, directory: Path) -> Authority:
        """Read the one in a directory made by `qarax-server ca init`.

        Raises:
            SettingsError: there is none, or its files are none.
        """
        try:
            trusted = (directory / CA_CERTIFICATE).read_bytes()
            key = serialization.load_pem_private_key((directory / CA_KEY).read_bytes(), None)
            certificates = x509.load_pem_x509_certificates(trusted)
        except OSError as error:
            raise SettingsError(
                f"the CA cannot be read: {error.filename}: {error.strerror}; {HOW}"
            ) from error
        except (ValueError, TypeError) as error:
            raise SettingsError(f"the CA in {directory} is none: its files hold something else") from error
        mine = [each for each in certificates if each.public_key() == key.public_key()]
        if not mine or not isinstance(key, ec.EllipticCurvePrivateKey):
            raise SettingsError(f"{directory / CA_KEY} is not the key of {directory / CA_CERTIFICATE}")
        return cls(mine[0], key, trusted)

    @property
    def key_pem(self) -> bytes:
        """The secret."""
        return _key_pem(self.key)

    def issue_for_host(self, host_id: str, name: str, address: str, days: int = HOST_DAYS) -> Issued:
        """Sign a new key for a host's node.

        Args:
            host_id: what the server verifies.
            name: for people who look at the certificate.
            address: IP address or host name, for other tools that connect to the node.
            days: how long it is valid.

        Raises:
            SettingsError: the address could be taken for another host's identity; the CA has ended.
        """
        if is_reserved(address):
            raise SettingsError(f"host {name}: no certificate can be made for the address {address}")
        names = [
            x509.DNSName(dns_name(host_id)),
            x509.UniformResourceIdentifier(host_uri(host_id)),
            _address(address),
        ]
        return self._issue(name, names, ExtendedKeyUsageOID.SERVER_AUTH, days)

    def issue_for_server(self, days: int = HOST_DAYS) -> Issued:
        """Sign a new key for a control plane."""
        names = [x509.UniformResourceIdentifier(SERVER_URI)]
        return self._issue("qarax-server", names, ExtendedKeyUsageOID.CLIENT_AUTH, days)

    def _issue(
        self, common_name: str, names: Sequence[x509.GeneralName], purpose: ObjectIdentifier, days: int
    ) -> Issued:
        key = _new_key()
        now = self.clock()
        left = (self.certificate.not_valid_after_utc - now).days
        if left <= 0:
            raise SettingsError(
                "the CA itself has ended: make another in a new directory, qarax-server ca init"
            )
        builder = _builder(_name(common_name), self.certificate.subject, key, now, min(days, left))
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(issuer, critical=False)
        )
        certificate = builder.sign(self.key, hashes.SHA256())
        return Issued(self.trusted, _pem(certificate), _key_pem(key), certificate.not_valid_after_utc)


def fingerprint(certificate: x509.Certificate) -> str:
    """Its SHA-256 as OpenSSL prints it."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _address(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text.encode("idna").decode("ascii"))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:LONGEST_COMMON_NAME])])


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
