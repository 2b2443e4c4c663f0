"""The TLS keys of the configuration: what contradicts itself or would verify less than it says is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import Configuration, ConfigurationError, parse

REST = '[control]\ndsn = "postgresql://sealgate@localhost/shop"\n'


def loaded(text: str) -> Configuration:
    return parse(text + REST, Path("/etc/sealgate.toml"))


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        ('[listen]\ntls_client_cert = "verify-full"\n', "listen.tls_cert", "is missing"),
        (
            '[listen]\ntls_cert = "a"\ntls_key = "b"\ntls_client_cert = "verify-ca"\n',
            "listen.tls_client_ca",
            "is missing",
        ),
        ('[listen]\ntls_client_ca = "a"\n', "listen.tls_client_ca", "tls_client_cert is"),
        ('[listen]\ntls_client_crl = "a"\n', "listen.tls_client_crl", "tls_client_cert is"),
        ('[listen]\ntls_client_cert = "require"\n', "listen.tls_client_cert", "possible values"),
        ('[upstream]\ntls_cert = "a"\n', "upstream.tls_key", "is missing"),
        ('[upstream]\ntls_key = "a"\n', "upstream.tls_cert", "is missing"),
        (
            '[upstream]\ntls = "disable"\ntls_cert = "a"\ntls_key = "b"\n',
            "upstream.tls_cert",
            'tls is "disable"',
        ),
        ('[upstream]\ntls = "disable"\ntls_crl = "a"\n', "upstream.tls_crl", 'tls is "disable"'),
        ('[upstream]\ntls_ca = "a"\n', "upstream.tls_ca", "verifies nothing"),
        ('[upstream]\ntls = "prefer"\ntls_crl = "a"\n', "upstream.tls_crl", "verifies nothing"),
        ('[upstream]\ntls = "require"\ntls_crl = "a"\n', "upstream.tls_crl", "verifies nothing"),
        (
            '[upstream]\ntls_negotiation = "direct"\n',
            "upstream.tls_negotiation",
            "cannot fall back",
        ),
        (
            '[upstream]\ntls = "disable"\ntls_negotiation = "direct"\n',
            "upstream.tls_negotiation",
            "cannot fall back",
        ),
        ('[upstream]\nhost = "/run"\ntls = "verify-ca"\n', "upstream.tls", "no TLS"),
        ('[upstream]\nscram = "prefer"\n', "upstream.scram", "possible values"),
    ],
)
def test_contradictions(text: str, key: str, problem: str) -> None:
    """The error names the key and says what is wrong with it."""
    with pytest.raises(ConfigurationError) as refused:
        loaded(text)
    assert refused.value.key == key
    assert problem in refused.value.problem


@pytest.mark.parametrize(
    "text",
    [
        '[upstream]\ntls = "require"\ntls_ca = "a"\ntls_crl = "b"\n',
        '[upstream]\ntls = "verify-ca"\ntls_negotiation = "direct"\n',
        '[upstream]\ntls = "verify-full"\ntls_cert = "a"\ntls_key = "b"\nscram = "terminate"\n',
        '[listen]\ntls_cert = "a"\ntls_key = "b"\ntls_client_cert = "verify-full"\ntls_client_ca = "c"\n'
        'tls_client_crl = "d"\n',
    ],
)
def test_what_fits_together(text: str) -> None:
    """It loads; files are looked at when they are used."""
    assert loaded(text).file.name == "sealgate.toml"
