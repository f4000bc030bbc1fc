"""Certificates of a test's own: an authority, and what it signs, good and bad."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.kafka.properties import HOST

__all__ = ["Authority", "Certificate"]

_DAY = timedelta(days=1)


class Certificate:
    """Files with a certificate and its key; `both` is one file, as Kafka's PEM key stores are."""

    def __init__(self, folder: Path, name: str, certificate: bytes, key: bytes) -> None:
        self.cert_file = folder / f"{name}.pem"
        self.key_file = folder / f"{name}.key"
        self.both = folder / f"{name}-both.pem"
        self.cert_file.write_bytes(certificate)
        self.key_file.write_bytes(key)
        self.both.write_bytes(key + certificate)


class Authority:
    """A certificate authority; `ca_file` is what those have to trust who talk to whom it has signed."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.ca_file = folder / f"{name}-ca.pem"
        self._name = _called(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        built = (
            _begun(self._name, self._name, self._key, now - _DAY, now + _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca_file.write_bytes(built.public_bytes(serialization.Encoding.PEM))

    def sign(
        self,
        name: str,
        *,
        hosts: Sequence[str] = ("localhost", HOST),
        expired: bool = False,
        key_password: str | None = None,
    ) -> Certificate:
        """Make a key and sign a certificate with this common name for these hosts."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        until = now - timedelta(minutes=1) if expired else now + _DAY
        built = (
            _begun(_called(name), self._name, key, now - _DAY, until)
            .add_extension(x509.SubjectAlternativeName(list(map(_host, hosts))), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        locked: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if key_password is not None:
            locked = serialization.BestAvailableEncryption(key_password.encode())
        pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return Certificate(self.folder, name, built.public_bytes(pem), key.private_bytes(pem, form, locked))


def _begun(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, since: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
    )


def _called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
