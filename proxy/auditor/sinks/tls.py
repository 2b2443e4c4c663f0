"""TLS to a receiver: its certificate and name are always verified."""

from __future__ import annotations

import ssl

from proxy.audit.sinks import Sink


def client_context(sink: Sink) -> ssl.SSLContext:
    """Read from the files each time, so that renewed certificates are used. Raises OSError (ssl.SSLError is one)."""
    context = ssl.create_default_context(cafile=str(sink.tls_ca) if sink.tls_ca else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if sink.tls_cert is not None:
        context.load_cert_chain(sink.tls_cert, sink.tls_key, password=lambda: "")
    return context
