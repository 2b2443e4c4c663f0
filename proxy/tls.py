"""TLS contexts and certificates, on both sides. [io]

Both sides speak TLS 1.2 or later and name the protocol `postgresql` in ALPN, as libpq and PostgreSQL 17 do. Towards
clients there are no session tickets, as in PostgreSQL: a session that is resumed would bring along a certificate that
has been looked at some time ago.

Towards the server the words are libpq's sslmode:

    disable       no TLS
    prefer        TLS if the server has it; nothing is verified, and a man in the middle can switch it off
    require       TLS or nothing; verified as in verify-ca if there is a tls_ca, as libpq does, else not
    verify-ca     the certificate is signed by tls_ca, or the system's authorities
    verify-full   and it names the host that was connected to

Sources: PostgreSQL manual, "SSL Support" (libpq) and "Secure TCP/IP Connections with SSL"; RFC 5929 section 4.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from pathlib import Path
from typing import Any, Final, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from proxy.config import Listen, Upstream

ALPN: Final = "postgresql"
_HANDSHAKE_SECONDS: Final = 10.0


class ServingContext(ssl.SSLContext):
    """The context towards clients. A handshake that fails carries its last word, a TLS alert (`serve_tls`).

    asyncio and uvloop close the connection without sending it, and a client whose certificate has expired would hear
    of an end of file instead.
    """

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *arguments: Any, **options: Any
    ) -> ssl.SSLObject:
        made = super().wrap_bio(incoming, outgoing, *arguments, **options)
        made.outgoing = outgoing  # type: ignore[attr-defined]
        return made


class _Serving(ssl.SSLObject):
    outgoing: ssl.MemoryBIO

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            error.alert = self.outgoing.read()  # type: ignore[attr-defined]
            raise


async def serve_tls(
    transport: asyncio.Transport,
    protocol: asyncio.Protocol,
    context: ssl.SSLContext,
    received: bytes = b"",
) -> asyncio.Transport | None:
    """The TLS handshake on a connection that a protocol owns already: the transport to go on with; None: it is gone.

    `received` is what was read of the client's hello before anybody knew that it is one. Raises OSError (ssl.SSLError
    is one) when the handshake fails, and has told the client why.
    """
    spare = os.dup(transport.get_extra_info("socket").fileno())
    starting = asyncio.get_running_loop().create_task(_started(transport, protocol, context))
    try:
        await asyncio.sleep(
            0
        )  # Now the transport's protocol is TLS, and nothing has been read since.
        _feed(transport, received)
        return await starting
    except ssl.SSLError as failed:
        with contextlib.suppress(OSError):
            os.write(spare, getattr(failed, "alert", b""))  # The transport is closed already.
        raise
    finally:
        starting.cancel()
        os.close(spare)


async def _started(
    transport: asyncio.Transport, protocol: asyncio.Protocol, context: ssl.SSLContext
) -> asyncio.Transport | None:
    return await asyncio.get_running_loop().start_tls(
        transport, protocol, context, server_side=True, ssl_handshake_timeout=_HANDSHAKE_SECONDS
    )


def _feed(transport: asyncio.Transport, received: bytes) -> None:
    """Give TLS what was read before the transport was its own (asyncio's and uvloop's are BufferedProtocols)."""
    protocol = cast("asyncio.BufferedProtocol", transport.get_protocol())
    while received:
        buffer = memoryview(protocol.get_buffer(len(received)))
        size = min(len(buffer), len(received))
        buffer[:size] = received[:size]
        protocol.buffer_updated(size)
        received = received[size:]


class UnusableFile(OSError):
    """A PEM file cannot be used. `key` is the configuration's key, `strerror` the reason without contents."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(0, reason)
        self.key = key


def context_for_clients(listen: Listen) -> ssl.SSLContext | None:
    """None where no certificate is configured. Raises UnusableFile."""
    if listen.tls_cert is None or listen.tls_key is None:
        return None
    context = ServingContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _Serving
    _common(context)
    context.options |= ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    _own_certificate(context, "listen", listen.tls_cert, listen.tls_key)
    if listen.tls_client_ca is not None:
        # Optional for TLS: who has none is told so in PostgreSQL's own words, once it is known what it wants.
        context.verify_mode = ssl.CERT_OPTIONAL
        _trust(context, "listen.tls_client_ca", listen.tls_client_ca)
        _revoked(context, "listen.tls_client_crl", listen.tls_client_crl)
    return context


def context_for_server(upstream: Upstream) -> ssl.SSLContext | None:
    """None where there is no TLS to ask for. Raises UnusableFile."""
    if upstream.tls == "disable" or upstream.is_socket_directory:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _common(context)
    context.check_hostname = upstream.tls == "verify-full"
    if upstream.tls_ca is not None:
        _trust(context, "upstream.tls_ca", upstream.tls_ca)
    elif upstream.tls in ("verify-ca", "verify-full"):
        context.load_default_certs()
    else:
        context.verify_mode = ssl.CERT_NONE
    _revoked(context, "upstream.tls_crl", upstream.tls_crl)
    if upstream.tls_cert is not None and upstream.tls_key is not None:
        _own_certificate(context, "upstream", upstream.tls_cert, upstream.tls_key)
    return context


def own_end_point(certificate: Path | None) -> bytes:
    """`end_point` of the first certificate in a PEM file, which is the one that is shown; b"" for None."""
    if certificate is None:
        return b""
    try:
        shown = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    except ValueError:
        raise UnusableFile("listen.tls_cert", "no certificate in it can be read") from None
    return _end_point(shown)


def end_point(peer: ssl.SSLObject | None) -> bytes:
    """The channel binding tls-server-end-point to a server; b"" without TLS, or where RFC 5929 defines none."""
    der = peer.getpeercert(binary_form=True) if peer is not None else None
    if not der:
        return b""
    try:
        return _end_point(x509.load_der_x509_certificate(der))
    except ValueError:
        return b""


def common_name(peer: ssl.SSLObject) -> str | None:
    """The CN of a verified client certificate, "" if it has not exactly one; None: the client showed none."""
    shown = peer.getpeercert()  # Verified, or the handshake would have failed.
    if not shown:
        return None
    subject: tuple[tuple[tuple[str, str], ...], ...] = shown.get("subject", ())  # type: ignore[assignment]
    names = [value for part in subject for name, value in part if name == "commonName"]
    return names[0] if len(names) == 1 else ""


def _end_point(certificate: x509.Certificate) -> bytes:
    """RFC 5929 section 4.1: hashed as the certificate's signature is, MD5 and SHA-1 replaced by SHA-256."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return b""
    if algorithm is None:  # Ed25519
        return b""
    if isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        algorithm = hashes.SHA256()
    return certificate.fingerprint(algorithm)


def _common(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols([ALPN])


def _own_certificate(context: ssl.SSLContext, section: str, cert: Path, key: Path) -> None:
    try:
        # A key that wants a passphrase fails instead of asking on the terminal.
        context.load_cert_chain(cert, key, password=b"")
    except ssl.SSLError as error:
        reason = error.reason or "no PEM in it can be read"
        raise UnusableFile(f"{section}.tls_key", reason) from None
    except OSError as error:
        unreadable = f"{section}.tls_key" if _readable(cert) else f"{section}.tls_cert"
        raise UnusableFile(unreadable, error.strerror or type(error).__name__) from None


def _trust(context: ssl.SSLContext, key: str, file: Path) -> None:
    try:
        context.load_verify_locations(file)
    except OSError as error:  # ssl.SSLError is one
        raise UnusableFile(key, _reason(error)) from None


def _revoked(context: ssl.SSLContext, key: str, file: Path | None) -> None:
    if file is not None:
        _trust(context, key, file)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "no PEM in it can be read"
    return error.strerror or type(error).__name__


def _readable(file: Path) -> bool:
    try:
        with file.open("rb"):
            return True
    except OSError:
        return False
