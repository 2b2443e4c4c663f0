"""config.example.toml shows every key with its default, and nothing that is not a key."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from policy import ColumnRule, RoleGrants
from proxy import config
from proxy.audit.sinks import Metrics, Sink
from proxy.detection.settings import Detection

FILE = Path(__file__).parents[2] / "config.example.toml"
TEXT = FILE.read_text()
# Keys without a default stand behind "# "; explanations are sentences and have no "=" after one word.
UNCOMMENTED = re.sub(r"(?m)^# (?=\[\[|[a-z_]+ = )", "", TEXT)
SECTIONS = {
    "listen": config.Listen,
    "upstream": config.Upstream,
    "control": config.Control,
    "keystore": config.KeystoreFile,
    "audit": config.Audit,
    "detection": Detection,
    "metrics": Metrics,
}


def test_it_loads() -> None:
    """A copy of it is a configuration."""
    configuration = config.load(FILE)
    assert sorted(configuration.policy.roles) == ["newsletter", "shop_app", "support"]
    assert len(configuration.columns) == 3


@pytest.mark.parametrize(("section", "schema"), SECTIONS.items())
def test_it_has_every_key_and_no_other(section: str, schema: type) -> None:
    """Keys of the file, commented ones included, are the fields of the section's dataclass."""
    fields = [field.name for field in dataclasses.fields(schema)]
    assert sorted(tomllib.loads(UNCOMMENTED)[section]) == sorted(fields)


def test_it_shows_every_key_of_a_sink() -> None:
    """The one sink of the example has every key there is."""
    (shown,) = tomllib.loads(UNCOMMENTED)["audit"]["sinks"]
    assert sorted(shown) == sorted(field.name for field in dataclasses.fields(Sink))


def test_its_sections_are_all_there_are() -> None:
    """No section is missing or too many."""
    assert set(tomllib.loads(TEXT)) == set(config.SECTIONS)


@pytest.mark.parametrize(
    ("section", "schema", "computed"),
    [("columns", ColumnRule, {"column"}), ("roles", RoleGrants, set())],
)
def test_it_shows_every_key_of_columns_and_roles(
    section: str, schema: type, computed: set[str]
) -> None:
    """Between them, its columns and its roles use every key there is."""
    shown = {key for table in tomllib.loads(TEXT)[section].values() for key in table}
    assert shown == {field.name for field in dataclasses.fields(schema)} - computed


def test_its_values_are_the_defaults() -> None:
    """Leaving a key out means what the example says; the control dsn is the one without a default."""
    example = config.load(FILE)
    minimal = config.parse('[control]\ndsn = "postgresql:///shop"\n', FILE)
    for name in ("listen", "upstream", "keystore", "audit", "detection"):
        assert getattr(example, name) == getattr(minimal, name)
    assert example.control.refresh_seconds == minimal.control.refresh_seconds
    assert example.policy.denied_value == minimal.policy.denied_value


def test_every_key_is_explained() -> None:
    """A comment stands above each key where it is first seen, or above the keys it goes with."""
    explained: set[str] = set()
    above = ""
    for line in TEXT.splitlines():
        key = re.match(r"(?:# )?([a-z_]+) = ", line)
        if key is not None and key[1] not in explained:
            assert above.startswith("# ") or " = " in above, line
            explained.add(key[1])
        above = line
    assert {"host", "tls_cert", "denied_value", "mask", "write"} <= explained
