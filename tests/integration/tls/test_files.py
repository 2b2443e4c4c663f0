"""PEM files: which of them a context cannot be made of, and what a certificate is bound by."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from proxy.config import Listen, Upstream
from proxy.tls import UnusableFile, context_for_clients, context_for_server, own_end_point
from tests.integration.tls.conftest import HOST, Papers

SPOILED: dict[str, Callable[[Path], None]] = {
    "absent": lambda file: file.unlink(missing_ok=True),
    "empty": lambda file: file.write_bytes(b"") and None,
    "no PEM": lambda file: file.write_bytes(b"\x00\xff" * 40) and None,
    "cut": lambda file: file.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n") and None,
}


@pytest.mark.parametrize("spoil", SPOILED)
@pytest.mark.parametrize(
    "key",
    [
        "listen.tls_cert",
        "listen.tls_key",
        "listen.tls_client_ca",
        "listen.tls_client_crl",
        "upstream.tls_ca",
        "upstream.tls_crl",
        "upstream.tls_cert",
        "upstream.tls_key",
    ],
)
def test_unusable_files(papers: Papers, tmp_path: Path, key: str, spoil: str) -> None:
    """Whatever is wrong with a file: there is no context, and the error names the section and holds no contents."""
    section, _, name = key.partition(".")
    good = papers.servers.issue(HOST, HOST, file="good")
    listen = Listen(
        tls_cert=good.cert,
        tls_key=good.key,
        tls_client_cert="verify-full",
        tls_client_ca=good.ca,
        tls_client_crl=papers.servers.revoke(),
    )
    upstream = Upstream(
        tls="verify-full",
        tls_ca=good.ca,
        tls_crl=papers.servers.revoke(),
        tls_cert=good.cert,
        tls_key=good.key,
    )
    assert context_for_clients(listen) is not None
    assert context_for_server(upstream) is not None
    bad = tmp_path / "bad.pem"
    SPOILED[spoil](bad)
    make = context_for_clients if section == "listen" else context_for_server
    spoiled = replace(listen if section == "listen" else upstream, **{name: bad})  # type: ignore[type-var]
    with pytest.raises(UnusableFile) as refused:
        make(spoiled)  # type: ignore[operator]
    assert refused.value.key.startswith(f"{section}.tls_")
    assert refused.value.strerror
    assert "AAAA" not in str(refused.value)


def test_a_key_of_another_certificate(papers: Papers) -> None:
    """Certificate and key must belong together."""
    listen = Listen(tls_cert=papers.proxy.cert, tls_key=papers.server.key)
    with pytest.raises(UnusableFile, match="KEY_VALUES_MISMATCH") as refused:
        context_for_clients(listen)
    assert refused.value.key == "listen.tls_key"


def test_what_contexts_insist_on(papers: Papers) -> None:
    """TLS 1.2, no tickets, and verification by mode."""
    clients = context_for_clients(Listen(tls_cert=papers.proxy.cert, tls_key=papers.proxy.key))
    assert clients is not None
    assert clients.minimum_version == ssl.TLSVersion.TLSv1_2
    assert clients.num_tickets == 0
    for mode, verify, name in (
        ("prefer", ssl.CERT_NONE, False),
        ("require", ssl.CERT_NONE, False),
        ("verify-ca", ssl.CERT_REQUIRED, False),
        ("verify-full", ssl.CERT_REQUIRED, True),
    ):
        server = context_for_server(Upstream(tls=mode))  # type: ignore[arg-type]
        assert server is not None
        assert server.minimum_version == ssl.TLSVersion.TLSv1_2
        assert (server.verify_mode, server.check_hostname) == (verify, name)


@pytest.mark.parametrize(
    ("algorithm", "hashed"),
    [(hashes.SHA256(), "sha256"), (hashes.SHA384(), "sha384"), (hashes.SHA512(), "sha512")],
)
def test_the_end_point_is_hashed_as_the_signature(
    papers: Papers, algorithm: hashes.HashAlgorithm, hashed: str
) -> None:
    """RFC 5929, section 4.1."""
    made = papers.servers.issue(HOST, HOST, file=hashed, hashed=algorithm)
    der = ssl.PEM_cert_to_DER_cert(made.cert.read_text())
    assert own_end_point(made.cert) == hashlib.new(hashed, der).digest()


def test_sha_1_is_replaced() -> None:
    """And MD5: RFC 5929 wants SHA-256 for both."""
    old = Path(__file__).parents[2] / "vectors" / "sha1.crt"
    der = ssl.PEM_cert_to_DER_cert(old.read_text())
    assert x509.load_der_x509_certificate(der).signature_hash_algorithm is not None
    assert own_end_point(old) == hashlib.sha256(der).digest()


def test_ed25519_has_no_end_point(papers: Papers, tmp_path: Path) -> None:
    """Its signature names no hash: there is nothing to bind to, and PLUS is not offered."""
    key = ed25519.Ed25519PrivateKey.generate()
    like = x509.load_pem_x509_certificate(papers.proxy.cert.read_bytes())
    builder = (
        x509.CertificateBuilder()
        .subject_name(like.subject)
        .issuer_name(like.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(like.not_valid_before_utc)
        .not_valid_after(like.not_valid_after_utc)
    )
    file = tmp_path / "ed25519.crt"
    file.write_bytes(builder.sign(key, None).public_bytes(serialization.Encoding.PEM))
    assert own_end_point(file) == b""
