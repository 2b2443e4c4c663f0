"""The configuration file, parsed once into frozen values; a function gets the leaf it needs.

`load(path)` either returns a `Configuration` in which everything was checked that can be checked without a
server, or raises `ConfigurationError` with the file, the key and the fix. `config.example.toml` shows every key.

The dataclasses here are the schema (see `tables`). [columns], [roles] and [policy] belong to the package `policy`;
here they are only tied to the types of `cells`, so that a column of an unknown type or a mask that cannot yield its
type is found at once.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

import policy
from keystore import KeystoreError, RootKeySource
from policy import Policy, PolicyError
from proxy.audit.sinks import Metrics, Sink, check_metrics, check_sinks
from proxy.catalog import SealedColumn, sealed_columns
from proxy.cells import Settings, TypeSpecError, logical_type
from proxy.detection.settings import Detection
from proxy.disclosure.subjects import Subjects, read_subjects
from proxy.tables import BadTable, read, unknown

SECTIONS = (
    "listen",
    "upstream",
    "control",
    "keystore",
    "audit",
    "detection",
    "metrics",
    "policy",
    "columns",
    "subjects",
    "roles",
)


class ConfigurationError(Exception):
    """The configuration cannot be used. `key` is dotted, or "" where the whole file is meant."""

    def __init__(self, file: Path, key: str, problem: str, fix: str) -> None:
        where = f"{file}: {key}: " if key else f"{file}: "
        super().__init__(f"{where}{problem}. {fix}")
        self.file = file
        self.key = key
        self.problem = problem
        self.fix = fix


def _number(default: int, low: int, high: int) -> int:
    number: int = field(default=default, metadata={"range": (low, high)})
    return number


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """[listen]: where clients connect, and what one client may cost."""

    host: str = "127.0.0.1"
    port: int = _number(6432, 0, 65535)
    workers: int = _number(1, 1, 1024)
    tls_cert: Path | None = field(default=None, metadata={"example": "server.crt"})
    tls_key: Path | None = field(default=None, metadata={"example": "server.key"})
    tls_required: bool = False
    tls_client_cert: Literal["none", "verify-ca", "verify-full"] = "none"
    tls_client_ca: Path | None = field(default=None, metadata={"example": "clients-ca.crt"})
    tls_client_crl: Path | None = field(default=None, metadata={"example": "clients.crl"})
    max_connections: int = _number(200, 1, 100_000)
    max_message_bytes: int = _number(256 * 1024 * 1024, 64 * 1024, 1024 * 1024 * 1024)
    startup_seconds: int = _number(15, 1, 600)
    drain_seconds: int = _number(30, 0, 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """[upstream]: the server that client sessions are relayed to."""

    host: str = "127.0.0.1"
    port: int = _number(5432, 1, 65535)
    tls: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    tls_negotiation: Literal["postgres", "direct"] = "postgres"
    tls_ca: Path | None = field(default=None, metadata={"example": "ca.crt"})
    tls_crl: Path | None = field(default=None, metadata={"example": "ca.crl"})
    tls_cert: Path | None = field(default=None, metadata={"example": "sealgate.crt"})
    tls_key: Path | None = field(default=None, metadata={"example": "sealgate.key"})
    scram: Literal["relay", "terminate"] = "relay"
    connect_seconds: int = _number(10, 1, 600)

    @property
    def is_socket_directory(self) -> bool:
        return self.host.startswith("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """[control]: the proxy's own login. Its database is the protected one."""

    dsn: str = field(repr=False, metadata={"example": "postgresql://sealgate@127.0.0.1:5432/shop"})
    refresh_seconds: int = _number(30, 1, 86_400)

    @property
    def database(self) -> str:
        """The protected database; what is connected to another one passes through."""
        parts = urlsplit(self.dsn)
        names = parse_qs(parts.query)
        named = names.get("dbname") or names.get("database") or [""]
        return unquote(parts.path.lstrip("/")) or named[0]

    @property
    def login(self) -> str | None:
        """The role that the dsn names; None: that of the environment."""
        parts = urlsplit(self.dsn)
        named = parse_qs(parts.query).get("user") or [""]
        return unquote(parts.username or "") or named[0] or None

    @property
    def shown(self) -> str:
        """The dsn without password and options, for people."""
        parts = urlsplit(self.dsn)
        _, _, place = parts.netloc.rpartition("@")
        login = f"{parts.username}@" if parts.username else ""
        return f"{parts.scheme}://{login}{place}{parts.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeystoreFile:
    """[keystore]: the wrapped data keys, and what unwraps them."""

    path: Path = Path("keystore.json")
    root_key: RootKeySource = field(default=RootKeySource("file", Path("root.key")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """[audit]: the access log."""

    path: Path = Path("audit.jsonl")
    state: Path | None = field(default=None, metadata={"example": "audit.jsonl.state"})
    mode: Literal["async", "ack", "durable"] = "ack"
    on_failure: Literal["deny", "allow"] = "deny"
    rotate_bytes: int = _number(1 << 30, 0, 1 << 50)
    rotate_seconds: int = _number(86_400, 0, 366 * 86_400)
    compress: bool = True
    checkpoint_events: int = _number(1000, 1, 1_000_000)
    checkpoint_seconds: int = _number(10, 1, 86_400)
    sinks: tuple[Sink, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One configuration file, whole and checked."""

    file: Path
    listen: Listen
    upstream: Upstream
    control: Control
    keystore: KeystoreFile
    audit: Audit
    detection: Detection
    metrics: Metrics
    policy: Policy
    columns: Mapping[str, SealedColumn]
    subjects: Subjects = field(default_factory=dict)

    @property
    def search_groups(self) -> dict[str, str]:
        """label -> group, of the columns that are in one."""
        found = {label: column.search_group for label, column in self.columns.items()}
        return {label: group for label, group in found.items() if group is not None}


def load(file: Path) -> Configuration:
    """Reads and checks a configuration file. Raises ConfigurationError."""
    return parse(read_text(file), file)


def parse(text: str, file: Path) -> Configuration:
    """`load` for text that is already read; `file` names it in errors and is where relative paths start."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # The parser's message has a position and no value; the position is its last bracket.
        raise ConfigurationError(file, "", f"is not TOML: {error}", "See toml.io.") from None
    try:
        return _configuration(document, file)
    except BadTable as error:
        raise ConfigurationError(file, error.key, error.problem, error.fix) from None
    except PolicyError as error:
        raise ConfigurationError(file, error.key, error.problem, error.fix) from None
    except KeystoreError as error:
        raise ConfigurationError(file, error.where, error.problem, error.fix) from None


def read_text(file: Path) -> str:
    """The text of a configuration file. Raises ConfigurationError."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        fix = "Copy config.example.toml there, or name another file with --config."
        raise ConfigurationError(file, "", "does not exist", fix) from None
    except UnicodeDecodeError:
        raise ConfigurationError(file, "", "is not UTF-8", "TOML is; convert it.") from None
    except OSError as error:
        fix = "Make it readable for the user that runs sealgate."
        raise ConfigurationError(file, "", f"cannot be read: {error.strerror}", fix) from None


def _configuration(document: Mapping[str, object], file: Path) -> Configuration:
    for name in document:
        if name not in SECTIONS:
            raise unknown(name, name, SECTIONS)
    base = file.absolute().parent
    listen = read(Listen, document.get("listen", {}), "listen", base)
    upstream = read(Upstream, document.get("upstream", {}), "upstream", base)
    control = read(Control, document.get("control", {}), "control", base)
    keystore = read(KeystoreFile, document.get("keystore", {}), "keystore", base)
    audit = read(Audit, _without_fsync(document.get("audit", {})), "audit", base)
    detection = read(Detection, document.get("detection", {}), "detection", base)
    metrics = read(Metrics, document.get("metrics", {}), "metrics", base)
    rules = policy.load(
        _table(document, "columns"),
        _table(document, "roles"),
        _table(document, "policy"),
        parse=_canonical,
    )
    _check_listen(listen, upstream)
    _check_upstream(upstream)
    _check_control(control)
    _check_files(keystore, audit)
    check_sinks(audit.sinks)
    check_metrics(metrics)
    _check_columns(rules)
    return Configuration(
        file=file,
        listen=listen,
        upstream=upstream,
        control=control,
        keystore=keystore,
        audit=audit,
        detection=detection,
        metrics=metrics,
        policy=rules,
        columns=sealed_columns(rules.columns),
        subjects=read_subjects(document.get("subjects", {}), rules.columns),
    )


def _without_fsync(table: object) -> object:
    """What this key said before there were modes must not be lost in silence."""
    if isinstance(table, Mapping) and "fsync" in table:
        fix = 'Write mode = "durable" for fsync = true, mode = "ack" for false.'
        raise BadTable("audit.fsync", "is no key any more", fix)
    return table


def _table(document: Mapping[str, object], name: str) -> Mapping[str, object]:
    table = document.get(name, {})
    if not isinstance(table, Mapping):
        raise BadTable(name, "is not a table", f"Write [{name}] and its keys below it.")
    return table


def _check_listen(listen: Listen, upstream: Upstream) -> None:
    _check_pair("listen", listen.tls_cert, listen.tls_key)
    if listen.tls_required and listen.tls_cert is None:
        problem = "is true and there is no certificate"
        raise BadTable("listen.tls_required", problem, "Set tls_cert and tls_key.")
    _check_client_certificates(listen)
    if (listen.host, listen.port) == (upstream.host, upstream.port):
        problem = "is the upstream's address: the proxy would connect to itself"
        raise BadTable("listen.port", problem, "Give one of the two another port.")


def _check_pair(section: str, cert: Path | None, key: Path | None) -> None:
    if (cert is None) != (key is None):
        missing = "tls_key" if key is None else "tls_cert"
        problem = "is missing: a certificate and its key come together"
        raise BadTable(
            f"{section}.{missing}", problem, "Set both tls_cert and tls_key, or neither."
        )


def _check_client_certificates(listen: Listen) -> None:
    mode = listen.tls_client_cert
    if mode == "none":
        for name in ("tls_client_ca", "tls_client_crl"):
            if getattr(listen, name) is not None:
                problem = 'is set, but tls_client_cert is "none"'
                fix = 'Remove it, or write tls_client_cert = "verify-full".'
                raise BadTable(f"listen.{name}", problem, fix)
        return
    needs = f'is missing: tls_client_cert = "{mode}" needs it'
    if listen.tls_cert is None:
        raise BadTable("listen.tls_cert", needs, "Set tls_cert and tls_key.")
    if listen.tls_client_ca is None:
        fix = "Name the authority that signs the clients' certificates."
        raise BadTable("listen.tls_client_ca", needs, fix)


_VERIFIES = ("require", "verify-ca", "verify-full")


def _check_upstream(upstream: Upstream) -> None:
    if upstream.tls in _VERIFIES and upstream.is_socket_directory:
        problem = f'is "{upstream.tls}", but host is a socket directory, where there is no TLS'
        raise BadTable("upstream.tls", problem, 'Write tls = "disable", or a host name.')
    _check_pair("upstream", upstream.tls_cert, upstream.tls_key)
    for name in ("tls_ca", "tls_crl", "tls_cert"):
        if upstream.tls == "disable" and getattr(upstream, name) is not None:
            problem = 'is set, but tls is "disable"'
            fix = 'Remove it, or write tls = "verify-full".'
            raise BadTable(f"upstream.{name}", problem, fix)
    for name in ("tls_ca", "tls_crl"):
        if upstream.tls == "prefer" and getattr(upstream, name) is not None:
            problem = 'is set, but tls is "prefer", which verifies nothing'
            fix = 'Remove it, or write tls = "verify-full".'
            raise BadTable(f"upstream.{name}", problem, fix)
    if upstream.tls == "require" and upstream.tls_crl is not None and upstream.tls_ca is None:
        problem = 'is set, but tls is "require" without tls_ca, which verifies nothing'
        raise BadTable("upstream.tls_crl", problem, 'Set tls_ca, or write tls = "verify-full".')
    if upstream.tls_negotiation == "direct" and upstream.tls not in _VERIFIES:
        problem = f'is "direct", but tls is "{upstream.tls}": direct TLS cannot fall back'
        raise BadTable("upstream.tls_negotiation", problem, 'Write tls = "verify-full".')


def _check_control(control: Control) -> None:
    fix = 'Write for example: dsn = "postgresql://sealgate@127.0.0.1:5432/shop"'
    try:
        parts = urlsplit(control.dsn)
        _ = parts.port
    except ValueError:
        raise BadTable("control.dsn", "is not a URI", fix) from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise BadTable("control.dsn", "does not begin with postgresql://", fix)
    if not control.database:
        raise BadTable("control.dsn", "names no database; it decides which one is protected", fix)


def _check_files(keystore: KeystoreFile, audit: Audit) -> None:
    taken: dict[Path | str, str] = {keystore.path: "keystore.path"}
    for path, key in (
        (keystore.root_key.path, "keystore.root_key.path"),
        (audit.path, "audit.path"),
    ):
        if path in taken:
            raise BadTable(key, f"is the same file as {taken[path]}", "Give each its own file.")
        if path is not None:
            taken[path] = key


def _check_columns(rules: Policy) -> None:
    for label, rule in rules.columns.items():
        key = f'columns."{label}"'
        try:
            sealed_columns({label: rule})
        except TypeSpecError as error:
            fix = 'Write a PostgreSQL type such as "text", "varchar(40)", "numeric(10,2)", "date".'
            raise BadTable(f"{key}.type", str(error), fix) from None
        except ValueError as error:
            fix = 'Write [columns."schema.table.column"].'
            raise BadTable(key, str(error), fix) from None


def _canonical(type_name: str, text: str) -> bytes:
    """The canonical plaintext of a text in the configuration: the constant of a mask."""
    logical = logical_type(type_name)
    return logical.assign(logical.from_text(text.encode(), Settings()))
