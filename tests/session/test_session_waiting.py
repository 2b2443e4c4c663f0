"""What the next statement is planned by: DDL and settings are waited for, or asked for, as transcripts."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from proxy.picture import read_document
from proxy.snapshot import Snapshot, SnapshotSource
from proxy.wire.messages import (
    DATA_ROW,
    SYNC_MESSAGE,
    Bind,
    Parse,
    message,
    read_parse,
    write_bind,
    write_execute,
    write_parse,
)
from tests.session.transcript import (
    CATALOG,
    Talk,
    done,
    error,
    query,
    ready,
    reply,
    setting,
    snapshot,
)

SYNC = SYNC_MESSAGE
INSERT = "INSERT INTO clients (email) VALUES ('ada')"
RENAME = "ALTER TABLE customers RENAME TO clients"


def document(table: str = "clients") -> bytes:
    """What `sealgate.catalog()` says when customers is called something else."""
    rows: list[dict[str, Any]] = [
        {
            "oid": str(relation.oid),
            "nspname": relation.schema,
            "relname": table if relation.name == "customers" else relation.name,
            "relkind": relation.kind,
            "attnum": a.number,
            "attname": a.name,
            "atttypid": str(a.type_oid),
            "atttypmod": a.type_modifier,
            "sealed": a.sealed,
            "carries": a.carries_sealed,
            "generated": a.generated,
        }
        for relation in CATALOG.relations
        for a in relation.attributes
    ]
    header = {"name": "shop", "version": 180004}
    return json.dumps(
        {"header": header, "relations": rows, "dependencies": None, "functions": None}
    ).encode()


def answer(*cells: bytes) -> bytes:
    """The reply to a question of ours, without its Sync."""
    parts = [struct.pack("!H", len(cells))]
    parts += [struct.pack("!I", len(cell)) + cell for cell in cells]
    return reply("312") + message(DATA_ROW, b"".join(parts)) + done("SELECT 1") + reply("33")


SETTINGS = (b"UTF8", b"ISO, MDY", b"UTC", b"on", b'"$user", public', b"shop_app")


def renamed() -> Snapshot:
    now = snapshot()
    return Snapshot(now.policy, read_document(document(), CATALOG.sealed), now.keyset)


def renaming() -> Talk:
    """A session whose open transaction has renamed the sealed table."""
    talk = Talk()
    talk.client(query("BEGIN"))
    talk.server(done("BEGIN"), ready("T"))
    talk.client(query(RENAME))
    talk.server(done("ALTER TABLE"), ready("T"))
    return talk


def test_the_client_learns_of_its_ddl_when_the_proxy_knows() -> None:
    """ReadyForQuery stands behind the new picture; what is said meanwhile waits too."""
    source = SnapshotSource(snapshot())
    talk = Talk(source=source)
    assert talk.client(query(RENAME)) == ["-> Q"]
    assert talk.server(done("ALTER TABLE"), ready()) == ["<- C", "RefreshCatalog"]
    assert talk.server(setting("application_name", "x")) == []
    source.current = renamed()
    assert talk._did(talk.session.catalog_refreshed()) == ["<- Z", "<- S"]
    assert talk.client(query(INSERT)) == ["record statement.refused 0A000", "-> Q"]


def test_what_is_sent_before_the_picture_is_there_waits() -> None:
    """A statement in the same packet as the DDL is planned by the new picture, not by the old one that knows no `clients`."""
    source = SnapshotSource(snapshot())
    talk = Talk(source=source)
    assert talk.client(query(RENAME), query(INSERT)) == ["-> Q"]
    assert talk.server(done("ALTER TABLE"), ready()) == ["<- C", "RefreshCatalog"]
    source.current = renamed()
    told = talk._did(talk.session.catalog_refreshed())
    assert told == ["<- Z", "record statement.refused 0A000", "-> Q"]
    assert b"ada" not in b"".join(body for _, body in talk.to_server)


def test_ddl_in_a_transaction_is_asked_for_in_the_session() -> None:
    """Nobody else sees it yet: a hidden question, whose replies the client does not get."""
    talk = Talk()
    talk.client(query("BEGIN"))
    talk.server(done("BEGIN"), ready("T"))
    talk.client(query(RENAME))
    assert talk.server(done("ALTER TABLE"), ready("T")) == ["<- CZ"]
    assert talk.client(query(INSERT)) == ["-> CPBECCS"]
    assert b"sealgate.catalog()" in read_parse(talk.to_server[1][1]).query
    told = talk.server(answer(*SETTINGS, document()), ready("T"))
    assert told == ["record statement.refused 0A000", "-> Q"]
    assert b"ada" not in b"".join(body for _, body in talk.to_server)


def test_the_own_picture_goes_with_the_transaction() -> None:
    """After ROLLBACK the table has its old name again; the shared picture is asked for and holds."""
    talk = renaming()
    talk.client(query("ROLLBACK"))
    talk.server(answer(*SETTINGS, document()), ready("T"))
    assert talk.server(done("ROLLBACK"), ready()) == ["<- C", "RefreshCatalog"]
    assert talk._did(talk.session.catalog_refreshed()) == ["<- Z"]
    assert talk.client(query("INSERT INTO customers (email) VALUES ('ada')")) == ["-> Q"]
    assert b"ada" not in talk.to_server[0][1]


def test_settings_in_a_pipeline_are_asked_for() -> None:
    """The server reports them at Sync; until then a statement on a sealed table waits for the answer, others do not."""
    talk = Talk()
    anonymous = Bind(b"", b"", (), (), ())
    steps = [
        write_parse(Parse(b"", b"SET search_path = elsewhere", ())),
        write_bind(anonymous),
        write_execute(b""),
    ]
    untouched = [
        write_parse(Parse(b"", b"SELECT 1", ())),
        write_bind(anonymous),
        write_execute(b""),
    ]
    assert talk.client(*steps, *untouched) == ["-> PBDEPBDE"]
    insert = b"INSERT INTO customers (email) VALUES ('ada')"
    sealed = write_parse(Parse(b"", insert, ()))
    assert talk.client(sealed, write_bind(anonymous), write_execute(b""), SYNC) == ["-> CPBECCH"]
    talk.server(reply("12n"), done("SET"), reply("12n"), done("SELECT 1"))
    told = talk.server(answer(b"UTF8", b"ISO, MDY", b"UTC", b"on", b"elsewhere", b"shop_app"))
    # No schema on that path has customers: by the old path it would have been sealed and sent.
    assert told[0] == "record statement.refused 42P01"
    assert b"ada" not in b"".join(body for _, body in talk.to_server)


def test_settings_before_a_sync_are_reported() -> None:
    """Nothing is asked where ReadyForQuery is on its way."""
    talk = Talk()
    assert talk.client(query("SET search_path = elsewhere"), query("TABLE customers")) == ["-> Q"]
    told = talk.server(done("SET"), setting("search_path", "elsewhere"), ready())
    assert told == ["<- CSZ", "record statement.refused 42P01", "-> Q"]


def test_a_question_that_fails_is_the_pipelines_failure() -> None:
    """An error between two statements of a pipeline: the client sees it, and all up to its Sync is read over."""
    talk = Talk()
    anonymous = Bind(b"", b"", (), (), ())
    ddl = [
        write_parse(Parse(b"", RENAME.encode(), ())),
        write_bind(anonymous),
        write_execute(b""),
    ]
    talk.client(*ddl, write_parse(Parse(b"", INSERT.encode(), ())), SYNC)
    talk.server(reply("12n"), done("ALTER TABLE"))
    told = talk.server(error("57014"))
    assert told == ["<- E", "-> S"]
    assert talk.server(ready()) == ["RefreshCatalog"]
    assert talk._did(talk.session.catalog_refreshed()) == ["<- Z"]


def test_a_question_between_statements_that_fails_is_not_told() -> None:
    """The client has asked for nothing: its next statement tells that the transaction has failed."""
    talk = renaming()
    talk.client(query("SELECT 1"))
    assert talk.server(error("57014"), ready("E")) == ["-> Q"]
    assert talk.server(error("25P02"), ready("E")) == ["<- EZ"]


@pytest.mark.parametrize("wrong", [b"", b"{}", b"[]", b"\xff", b'{"header": {}}'])
def test_an_answer_that_is_none_ends_the_session(wrong: bytes) -> None:
    """Somebody replaced sealgate.catalog(): nothing can be planned with certainty."""
    talk = renaming()
    talk.client(query("SELECT 1"))
    assert talk.server(answer(*SETTINGS, wrong), ready("T"))[-1] == "close"


def test_commit_prepared_may_make_ddl_visible() -> None:
    """What it has changed, another transaction said: the picture is taken anew before the client hears of it."""
    talk = Talk()
    talk.client(query("COMMIT PREPARED 'x'"))
    assert talk.server(done("COMMIT PREPARED"), ready()) == ["<- C", "RefreshCatalog"]


def test_nothing_is_sent_while_the_picture_is_taken() -> None:
    """Bind and Execute depend on no name, but what the server said to them could not be released in order."""
    talk = Talk()
    ddl = write_parse(Parse(b"ddl", b"ALTER TABLE customers ADD COLUMN x int", ()))
    talk.client(ddl, SYNC)
    talk.server(reply("1"), ready())
    again = (write_bind(Bind(b"", b"ddl", (), (), ())), write_execute(b""), SYNC)
    assert talk.client(query(RENAME), *again) == ["-> Q"]
    assert talk.server(done("ALTER TABLE"), ready()) == ["<- C", "RefreshCatalog"]
    assert talk._did(talk.session.catalog_refreshed()) == ["<- Z", "-> BDES"]
    assert talk.server(reply("2n"), done("ALTER TABLE"), ready()) == ["<- 2C", "RefreshCatalog"]
    assert talk._did(talk.session.catalog_refreshed()) == ["<- Z"]


def test_a_picture_that_cannot_be_taken_is_asked_for_in_the_session() -> None:
    """The control connection is down: the next statement is planned by what the session itself sees, not by the old picture."""
    talk = Talk()
    talk.client(query(RENAME))
    assert talk.server(done("ALTER TABLE"), ready()) == ["<- C", "RefreshCatalog"]
    assert talk._did(talk.session.catalog_refreshed(taken=False)) == ["<- Z"]
    assert talk.client(query(INSERT)) == ["-> CPBECCS"]
    told = talk.server(answer(*SETTINGS, document()), ready())
    assert told == ["record statement.refused 0A000", "-> Q"]
    assert talk.server(error("0A000"), ready()) == ["<- E", "RefreshCatalog"]
    assert talk._did(talk.session.catalog_refreshed()) == ["<- Z"]
    assert b"ada" not in b"".join(body for _, body in talk.to_server)


def test_nobody_can_tell_what_ddl_has_changed() -> None:
    """Neither the control connection nor the session: it ends, before a value goes where nobody knows."""
    talk = Talk()
    talk.client(query(RENAME))
    talk.server(done("ALTER TABLE"), ready())
    talk._did(talk.session.catalog_refreshed(taken=False))
    assert talk.client(query(INSERT)) == ["-> CPBECCS"]
    told = talk.server(reply("3"), error("42883"))
    assert told == ["<- E", "record session.closed", "close"]
    assert b"58000" in talk.to_client[0][1]


def test_a_question_that_fails_the_transaction_says_why() -> None:
    """sealgate.catalog() is missing, in a database that an older Sealgate has prepared: 25P02 has a hint."""
    talk = renaming()
    assert talk.client(query("SELECT 1")) == ["-> CPBECCS"]
    assert talk.server(reply("3"), error("42883"), ready("E")) == ["-> Q"]
    talk.server(error("25P02"), ready("E"))
    assert b"sealgate check" in talk.to_client[0][1]
