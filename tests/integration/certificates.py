"""Throw-away certificate authorities for tests."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificates:
    """A certificate with its key, and the authority that signed it; PEM files."""

    ca: Path
    cert: Path
    key: Path


@dataclass
class Authority:
    """One certificate authority; its files are in `directory`."""

    directory: Path
    name: str = "Sealgate test CA"
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @cached_property
    def certificate(self) -> x509.Certificate:
        return _certificate(self.name, "", self.key, None, self.key, ca=True)

    @cached_property
    def ca(self) -> Path:
        self.directory.mkdir(parents=True, exist_ok=True)
        file = self.directory / "ca.crt"
        file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return file

    def issue(
        self,
        name: str,
        host: str = "",
        *,
        file: str = "",
        expired: bool = False,
        hashed: hashes.HashAlgorithm | None = None,
        passphrase: str = "",
    ) -> Certificates:
        """A certificate with this CN, for this host (name or address; "": a client's), valid for a day."""
        key = ec.generate_private_key(ec.SECP256R1())
        signed = _certificate(
            name, host, key, self.certificate, self.key, ca=False, expired=expired, hashed=hashed
        )
        stem = file or name
        made = Certificates(self.ca, self.directory / f"{stem}.crt", self.directory / f"{stem}.key")
        made.cert.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase:
            encryption = serialization.BestAvailableEncryption(passphrase.encode())
        made.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
            )
        )
        made.key.chmod(0o600)
        return made

    def revoke(self, *certificates: Certificates, file: str = "revoked.crl") -> Path:
        """A revocation list with these."""
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - _DAY)
            .next_update(now + _DAY)
        )
        for one in certificates:
            serial = x509.load_pem_x509_certificate(one.cert.read_bytes()).serial_number
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(serial)
                .revocation_date(now - _DAY)
                .build()
            )
        path = self.directory / file
        signed = builder.sign(self.key, hashes.SHA256())
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        return path


def make_certificates(directory: Path, host: str = "127.0.0.1") -> Certificates:
    """A CA and one server certificate for `host`, valid for a day."""
    return Authority(directory).issue(host, host, file="server")


def _certificate(
    name: str,
    host: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    ca: bool,
    expired: bool = False,
    hashed: hashes.HashAlgorithm | None = None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - (3 * _DAY if expired else datetime.timedelta(hours=1)))
        .not_valid_after(now + (-_DAY if expired else _DAY))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=ca,
                crl_sign=ca,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if host:
        names = x509.SubjectAlternativeName([_general_name(host)])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key, hashed or hashes.SHA256())  # type: ignore[arg-type]


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
