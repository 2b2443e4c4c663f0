"""The configuration: what is wrong is named by file, key and fix; what is right is whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from policy import Search
from proxy.config import Configuration, ConfigurationError, load, parse

MINIMAL = """
[control]
dsn = "postgresql://sealgate@127.0.0.1:5432/shop"
"""
COLUMN = """
[columns."public.customers.email"]
type = "text"
"""


def configured(text: str, file: str = "/etc/sealgate/sealgate.toml") -> Configuration:
    return parse(MINIMAL + text, Path(file))


def test_only_the_control_login_has_no_default() -> None:
    """Everything else may be left out."""
    configuration = configured("")
    assert configuration.listen.port == 6432
    assert configuration.upstream.port == 5432
    assert configuration.control.database == "shop"
    assert configuration.audit.on_failure == "deny"
    assert configuration.policy.denied_value == "null"
    assert configuration.columns == {}


def test_relative_paths_start_at_the_file() -> None:
    """The working directory plays no part; defaults are relative to the file too."""
    configuration = configured('[audit]\npath = "log/audit.jsonl"\n')
    assert configuration.audit.path == Path("/etc/sealgate/log/audit.jsonl")
    assert configuration.keystore.path == Path("/etc/sealgate/keystore.json")
    assert configuration.keystore.root_key.path == Path("/etc/sealgate/root.key")
    absolute = configured('[audit]\npath = "/var/log/audit.jsonl"\n')
    assert absolute.audit.path == Path("/var/log/audit.jsonl")


def test_columns_have_their_types() -> None:
    """Declared columns come as the catalog and the session use them."""
    configuration = configured(
        '[columns."public.customers.name"]\ntype = "character varying(40)"\nsearch = ["equality"]\n'
    )
    column = configuration.columns["public.customers.name"]
    assert (column.table, column.name, column.type.name) == ("public.customers", "name", "varchar")
    assert column.search == Search(equality=True)


def test_a_root_key_from_the_environment() -> None:
    """The provider "env" takes a name and no path."""
    configuration = configured('[keystore]\nroot_key = { provider = "env", name = "KEY" }\n')
    assert configuration.keystore.root_key.name == "KEY"
    assert configuration.keystore.root_key.path is None


@pytest.mark.parametrize(
    ("text", "key", "problem", "fix"),
    [
        ("[listn]\n", "listn", "not a known key", "Did you mean listen?"),
        ("[listen]\nprot = 1\n", "listen.prot", "not a known key", "Did you mean port?"),
        ("[audit]\nzzz = 1\n", "audit.zzz", "not a known key", "Known here: checkpoint_events, checkpoint_seconds, compress, mode, "),
        ("[audit]\nfsync = true\n", "audit.fsync", "no key any more", 'mode = "durable"'),
        ('[audit]\nmode = "fast"\n', "audit.mode", "none of its possible values", '"async"'),
        ('[listen]\nport = "6432"\n', "listen.port", "is a string, not a whole number", "port = 6432"),
        ("[listen]\nport = true\n", "listen.port", "is true or false", "port = 6432"),
        ("[listen]\nport = 70000\n", "listen.port", "out of range", "from 0 to 65535"),
        ('[listen]\ntls_required = "yes"\n', "listen.tls_required", "is a string", "= false"),
        ('[listen]\nhost = " "\n', "listen.host", "is empty", 'host = "127.0.0.1"'),
        ("listen = 3\n", "listen", "not a table", "[listen]"),
        ('[listen]\ntls_cert = "a"\n', "listen.tls_key", "is missing", "both tls_cert and tls_key"),
        ('[listen]\ntls_key = "a"\n', "listen.tls_cert", "is missing", "both tls_cert and tls_key"),
        ("[listen]\ntls_required = true\n", "listen.tls_required", "no certificate", "Set tls_cert"),
        ("[listen]\nport = 5432\n", "listen.port", "connect to itself", "another port"),
        ('[upstream]\ntls = "allow"\n', "upstream.tls", "none of its possible", '"verify-full"'),
        (
            '[upstream]\nhost = "/run/postgresql"\ntls = "require"\n',
            "upstream.tls",
            "there is no TLS",
            'tls = "disable"',
        ),
        (
            '[upstream]\ntls = "disable"\ntls_ca = "ca.crt"\n',
            "upstream.tls_ca",
            'tls is "disable"',
            "Remove it",
        ),
        ('[audit]\non_failure = "maybe"\n', "audit.on_failure", "none of its", '"deny", "allow"'),
        ('[audit]\npath = "keystore.json"\n', "audit.path", "same file as keystore.path", "own file"),
        (
            '[keystore]\npath = "root.key"\n',
            "keystore.root_key.path",
            "same file as keystore.path",
            "own file",
        ),
        (
            '[keystore]\nroot_key = { provider = "vault" }\n',
            "keystore.root_key",
            "is not a root key's source",
            "provider",
        ),
        (
            '[keystore]\nroot_key = { provider = "env", nam = "X" }\n',
            "keystore.root_key.nam",
            "not a known key",
            "Did you mean name?",
        ),
        ('[keystore]\nroot_key = "x"\n', "keystore.root_key", "is a string, not a table", "Write"),
        ('[policy]\ndenied_value = "zero"\n', "policy.denied_value", "is no choice", '"null"'),
        ("columns = 1\n", "columns", "not a table", "[columns]"),
        (
            '[columns."public.customers.email"]\ntype = "strange"\n',
            'columns."public.customers.email".type',
            "strange",
            "PostgreSQL type",
        ),
        ('[columns."customers.email"]\ntype = "text"\n', 'columns."customers.email"', "label", "schema"),
        (COLUMN + 'mask = "year"\n', 'columns."public.customers.email".mask', "year", "Masks"),
        (
            '[columns."public.t.n"]\ntype = "int4"\nmask = "constant:many"\n',
            'columns."public.t.n".mask',
            "not a value of type int4",
            "Write",
        ),
        ("subjects = 1\n", "subjects", "is not a table", '"public.customers" = "id"'),
        (
            '[subjects]\n"customers" = "id"\n',
            'subjects."customers"',
            "is no table's label",
            "schema.table",
        ),
        (
            '[subjects]\n"public.customers" = []\n',
            'subjects."public.customers"',
            "neither a column's name nor a list",
            '"public.customers" = "id"',
        ),
        (
            '[subjects]\n"public.customers" = 7\n',
            'subjects."public.customers"',
            "neither a column's name nor a list",
            '"public.customers" = "id"',
        ),
        (
            COLUMN + '[subjects]\n"public.customers" = "email"\n',
            'subjects."public.customers"',
            "column email is sealed",
            "plain column",
        ),
        (
            COLUMN + '[roles.r]\nclear = ["public.customers.phone"]\n',
            "roles.r.clear",
            "phone",
            "",
        ),
    ],
)  # fmt: skip
def test_every_error_names_file_key_and_fix(text: str, key: str, problem: str, fix: str) -> None:
    """Unknown keys (with the nearest known one), wrong types, contradictions."""
    file = Path("/etc/sealgate/sealgate.toml")
    document = (
        text + MINIMAL
        if text.startswith(("listen =", "columns =", "subjects ="))
        else MINIMAL + text
    )
    with pytest.raises(ConfigurationError) as failure:
        parse(document, file)
    error = failure.value
    assert error.key.startswith(key)
    assert problem in error.problem
    assert fix in error.fix
    assert str(error) == f"{file}: {error.key}: {error.problem}. {error.fix}"


@pytest.mark.parametrize(
    ("dsn", "problem"),
    [
        ("host=db dbname=shop", "does not begin with postgresql://"),
        ("postgresql://sealgate@db", "names no database"),
        ("postgresql://sealgate@db:notaport/shop", "is not a URI"),
    ],
)
def test_the_control_dsn_is_a_uri_with_a_database(dsn: str, problem: str) -> None:
    """Its database is the protected one, so there must be one."""
    with pytest.raises(ConfigurationError, match=problem):
        parse(f'[control]\ndsn = "{dsn}"\n', Path("x.toml"))


def test_a_missing_control_section_is_named() -> None:
    """The one required key is asked for by name, with an example."""
    with pytest.raises(
        ConfigurationError, match=r"control\.dsn: is missing.*dsn = \"postgresql://"
    ):
        parse("", Path("x.toml"))


def test_a_missing_file_says_where_to_begin(tmp_path: Path) -> None:
    """No configuration yet: start from the example."""
    with pytest.raises(ConfigurationError, match=r"does not exist\. Copy config\.example\.toml"):
        load(tmp_path / "sealgate.toml")


def test_what_is_no_toml_is_named_with_its_line(tmp_path: Path) -> None:
    """The parser's position is kept."""
    with pytest.raises(ConfigurationError, match=r"is not TOML: .*line 2"):
        parse("[listen]\nport 3\n", tmp_path)


def test_bytes_that_are_no_utf8_are_named(tmp_path: Path) -> None:
    """A file in another encoding is refused, not guessed at."""
    file = tmp_path / "sealgate.toml"
    file.write_bytes(b'[control]\ndsn = "\xe4"\n')
    with pytest.raises(ConfigurationError, match="is not UTF-8"):
        load(file)


def test_passwords_stay_out_of_sight() -> None:
    """Neither the repr nor an error nor what people are shown holds a password of a dsn."""
    dsn = "postgresql://sealgate:hunter2@db.example.com:5432/shop?sslmode=require"
    configuration = parse(f'[control]\ndsn = "{dsn}"\n', Path("x.toml"))
    assert configuration.control.shown == "postgresql://sealgate@db.example.com:5432/shop"
    assert "hunter2" not in repr(configuration)
    assert "hunter2" not in repr(replace(configuration.control, refresh_seconds=1))
    with pytest.raises(ConfigurationError) as failure:
        parse('[control]\ndsn = "mysql://sealgate:hunter2@db/shop"\n', Path("x.toml"))
    assert "hunter2" not in str(failure.value)


def test_a_database_may_stand_in_the_query() -> None:
    """libpq's other way to name a socket directory and a database."""
    text = '[control]\ndsn = "postgresql:///?host=/run/postgresql&dbname=shop%20two"\n'
    assert parse(text, Path("x.toml")).control.database == "shop two"
    text = '[control]\ndsn = "postgresql://u@/shop%20two?host=/run/postgresql"\n'
    assert parse(text, Path("x.toml")).control.database == "shop two"
