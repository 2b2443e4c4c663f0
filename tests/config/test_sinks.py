"""[[audit.sinks]] and [metrics]: what contradicts itself, or would send events in clear, is refused with the fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.audit.sinks import CODES, Sink
from proxy.config import Configuration, ConfigurationError, parse
from tests.audit.examples import examples

CONTROL = '[control]\ndsn = "postgresql:///shop"\n'
FILE = Path("/etc/sealgate.toml")


def of(*sinks: str, metrics: str = "") -> Configuration:
    tables = "".join(f"[[audit.sinks]]\n{sink}\n" for sink in sinks)
    return parse(f"{CONTROL}{tables}{metrics}", FILE)


def test_sinks_are_read() -> None:
    """Each type with the keys that it needs; relative paths start where the file is."""
    found = of(
        'name = "out"\ntype = "stdout"\nformat = "cef"',
        'name = "relay"\ntype = "syslog"\nhost = "127.0.0.1"\nport = 514\ntls = false',
        'name = "hec"\ntype = "splunk"\nurl = "https://siem:8088"\ntoken_file = "hec.token"',
        'name = "es"\ntype = "elastic"\nurl = "https://[2001:db8::1]:9200/es"\ntoken_env = "ES"',
        'name = "otel"\ntype = "otlp"\nurl = "http://127.0.0.1:4318"\nevents = ["statement.*"]',
    ).audit.sinks
    assert [sink.name for sink in found] == ["out", "relay", "hec", "es", "otel"]
    assert found[2].token_file == Path("/etc/hec.token")
    assert found[4].events == ("statement.*",)
    assert parse(CONTROL, FILE).audit.sinks == ()


@pytest.mark.parametrize(
    ("sink", "key", "problem"),
    [
        ('type = "stdout"', "name", "is missing"),
        ('name = "a b"\ntype = "stdout"', "name", "cannot be a name"),
        ('name = "../x"\ntype = "stdout"', "name", "cannot be a name"),
        ('name = "a"\ntype = "kafka"', "type", "is none of its possible values"),
        ('name = "a"\ntype = "stdout"\nurl = "https://x"', "url", "does not belong"),
        ('name = "a"\ntype = "syslog"', "host", "is missing"),
        ('name = "a"\ntype = "syslog"\nhost = "siem"\ntls = false', "tls", "in clear"),
        (
            'name = "a"\ntype = "syslog"\nhost = "::1"\ntls = false\ntls_ca = "x"',
            "tls",
            "certificates are named",
        ),
        ('name = "a"\ntype = "otlp"', "url", "is missing"),
        ('name = "a"\ntype = "otlp"\nurl = "ftp://siem"', "url", "is not an http or https URL"),
        ('name = "a"\ntype = "otlp"\nurl = "https://siem:port"', "url", "is not a URL"),
        ('name = "a"\ntype = "otlp"\nurl = "http://siem:4318"', "url", "in clear"),
        ('name = "a"\ntype = "otlp"\nurl = "https://u:p@siem"', "url", "holds more than"),
        ('name = "a"\ntype = "otlp"\nurl = "https://siem?token=1"', "url", "holds more than"),
        ('name = "a"\ntype = "otlp"\nurl = "https://s"\nformat = "cef"', "format", "not belong"),
        ('name = "a"\ntype = "elastic"\nurl = "https://s"\nhost = "s"', "host", "not belong"),
        ('name = "a"\ntype = "splunk"\nurl = "https://s"', "token_file", "is missing"),
        (
            'name = "a"\ntype = "otlp"\nurl = "https://s"\ntoken_file = "t"\ntoken_env = "T"',
            "token_env",
            "beside token_file",
        ),
        ('name = "a"\ntype = "otlp"\nurl = "https://s"\ntls_key = "k"', "tls_cert", "is missing"),
        (
            'name = "a"\ntype = "splunk"\nurl = "https://s"\ntoken_env = "T"\nencoding = "protobuf"',
            "encoding",
            "does not belong",
        ),
        ('name = "a"\ntype = "stdout"\nevents = ["Statement"]', "events", "no event code"),
        ('name = "a"\ntype = "stdout"\nevents = ["statement"]', "events", "no event code"),
        ('name = "a"\ntype = "stdout"\nevents = ["*", "statement.raed"]', "events", "no event"),
        ('name = "a"\ntype = "stdout"\nevents = ["statements.*"]', "events", "no event code"),
        ('name = "a"\ntype = "stdout"\nevents = "statement.*"', "events", "not a list"),
        ('name = "a"\ntype = "stdout"\nbatch_events = 0', "batch_events", "out of range"),
        ('name = "a"\ntype = "stdout"\ncolour = 1', "colour", "is not a known key"),
    ],
)
def test_what_cannot_be_meant_is_refused(sink: str, key: str, problem: str) -> None:
    """The error names file, key and problem, and quotes no value."""
    with pytest.raises(ConfigurationError) as caught:
        of(sink)
    assert caught.value.key == f"audit.sinks[0].{key}"
    assert problem in caught.value.problem


def test_names_are_unique() -> None:
    """A name is a cursor's file name: two sinks with one would share it."""
    with pytest.raises(ConfigurationError, match=r"audit\.sinks\[1\]\.name: names two sinks"):
        of('name = "a"\ntype = "stdout"', 'name = "a"\ntype = "stdout"')


def test_an_array_is_needed() -> None:
    """[audit.sinks] with one bracket is said to be one."""
    with pytest.raises(ConfigurationError, match=r"is a table, not an array of tables"):
        parse(f'{CONTROL}[audit.sinks]\nname = "a"\n', FILE)


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_where_metrics_are_served(listen: str, address: tuple[str, int]) -> None:
    """Host and port, an IPv6 address in brackets."""
    assert of(metrics=f'[metrics]\nlisten = "{listen}"\n').metrics.address == address
    assert of().metrics.address is None


@pytest.mark.parametrize("listen", ["9464", ":9464", "host:", "::1:80", "a:99999", "a:-1", "a:١"])
def test_an_address_that_is_none(listen: str) -> None:
    """Nothing starts half configured."""
    with pytest.raises(ConfigurationError, match=r"metrics\.listen: is not HOST:PORT"):
        of(metrics=f'[metrics]\nlisten = "{listen}"\n')


def test_checkpoints_come_whatever_is_chosen() -> None:
    """A copy without checkpoints would prove nothing."""
    sink = Sink(name="a", type="stdout", events=("statement.*", "proxy.started"))
    assert sink.takes("statement.read")
    assert sink.takes("proxy.started")
    assert sink.takes("log.checkpoint")
    assert not sink.takes("proxy.stopped")
    assert not sink.takes("statements.read")
    assert Sink(name="a", type="stdout").takes("anything")
    assert Sink(name="a", type="stdout", events=("*",)).takes("anything")


def test_every_event_can_be_asked_for() -> None:
    """The codes that `events` may name are those that there are: an event that is new has to be listed."""
    codes = {event["metadata"]["event_code"] for event in examples().values()}
    assert codes <= CODES
    assert {code for code in CODES - codes if not code.startswith("detection.")} == set()
