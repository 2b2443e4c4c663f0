"""What the access log says was disclosed is what was shown, cell by cell: ids, columns and outcomes.

The test is the server: it knows the id of every value that it sends, and finds in the effects which rows went to the client.
Statements of every kind, results that end anywhere, received in any pieces.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from keystore import cell_id, key_id, looks_sealed
from proxy.audit.cells_file import SideFiles, record, side_file
from proxy.audit.disclosed import disclosed
from proxy.effects import Effect, Record, ToClient, ToServer
from proxy.wire.messages import (
    SYNC_MESSAGE,
    Bind,
    Parse,
    message,
    write_bind,
    write_execute,
    write_parameter_description,
    write_parse,
    write_target,
)
from tests.session.transcript import (
    EMAIL,
    KEYS,
    SSN,
    Talk,
    done,
    error,
    fields,
    query,
    ready,
    reply,
    row,
    seal,
)

SEED = int(os.environ.get("DISCLOSED_SEED", "20261123"))
OUTCOMES = {"shop_app": "clear", "support": "masked", "nobody": "withheld"}
LABELS = {"email": EMAIL, "ssn": SSN}
Cells = Counter[tuple[str, str, bytes]]
"""(column, outcome, cell id)"""


class World:
    """One session, and what it was shown by the test's own account."""

    def __init__(self, choice: random.Random, directory: Path) -> None:
        self.choice = choice
        self.login = choice.choice(list(OUTCOMES))
        self.outcome = OUTCOMES[self.login]
        self.talk = Talk(self.login)
        self.log = directory / "audit.jsonl"
        side_file(self.log).unlink(missing_ok=True)
        self.rows: dict[int, Cells] = {}
        """Of each row that the server sent, by the number that is in it."""
        self.shown: Cells = Counter()
        self.told: Cells = Counter()
        self.written: Cells = Counter()
        """What was sealed for statements that may have been executed."""
        self.sent: Cells = Counter()
        """What was sealed for the statement at hand."""
        self.alive = True
        self.events = 0
        self.rest = b""
        """Of a message that went out in part: rows in which nothing is sealed do."""
        self.files = SideFiles([self.log])

    # What comes out.

    def did(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Record):
                self.tell(effect)
            elif isinstance(effect, ToClient):
                self.show(effect.data)
            elif isinstance(effect, ToServer):
                for value in sealed_values(effect.data):
                    self.sent[KEYS.data_keys[key_id(value)].column, "written", cell_id(value)] += 1

    def tell(self, effect: Record) -> None:
        if effect.entry.cells:
            with side_file(self.log).open("ab") as file:
                file.write(record(effect.entry.cells))
        self.events += 1
        for found in disclosed(effect.event, self.files):
            assert found.ids is not None
            self.told.update((found.column, found.outcome, cell) for cell in found.ids)

    def show(self, data: bytes) -> None:
        self.rest += data
        at = 0
        while len(self.rest) - at >= 5:
            end = at + 1 + int.from_bytes(self.rest[at + 1 : at + 5], "big")
            if end > len(self.rest):
                break
            number = None
            if self.rest[at] == ord("D"):
                size = int.from_bytes(self.rest[at + 7 : at + 11], "big")
                number = int(self.rest[at + 11 : at + 11 + size])
            elif self.rest[at] == ord("d"):
                number = int(self.rest[at + 5 : end].partition(b"\t")[0])
            if number is not None:
                assert all(self.told[cell] for cell in self.rows[number]), "released before told"
                self.shown.update(self.rows[number])
            at = end
        self.rest = self.rest[at:]

    # What goes in.

    def server(self, *messages: bytes) -> None:
        """In pieces."""
        data = b"".join(messages)
        most = self.choice.choice((50, 5000, 1 << 20)) if len(data) < 100_000 else 1 << 16
        while data:
            size = self.choice.randint(1, most)
            self.did(self.talk.session.server_data(data[:size]))
            data = data[size:]

    def client(self, *messages: bytes) -> None:
        self.did(self.talk.session.client_data(b"".join(messages)))

    def row(self, names: list[str], *, copied: bool = False) -> bytes:
        number = len(self.rows)
        carried: Cells = Counter()
        values: list[bytes | str | None] = [str(number)]
        for name in names:
            if self.choice.random() < 0.1:
                values.append(None)
                continue
            value = seal(f"n{number}@example.com", LABELS[name])
            values.append(value)
            carried[LABELS[name], self.outcome, cell_id(value)] += 1
        self.rows[number] = carried
        if not copied:
            return row(*values)
        line = b"\t".join(
            b"\\N"
            if v is None
            else v.encode()
            if isinstance(v, str)
            else b"\\\\x" + v.hex().encode()
            for v in values
        )
        return message(ord("d"), line + b"\n")

    def some_rows(self, names: list[str], *, copied: bool = False) -> list[bytes]:
        count = self.choice.choice((0, 1, 2, 40, 130, 300, 3000 // (len(names) or 3)))
        return [self.row(names, copied=copied) for _ in range(count)]

    def names(self) -> list[str]:
        return [self.choice.choice(("email", "ssn")) for _ in range(self.choice.randint(0, 3))]

    # Statements.

    def select(self) -> None:
        names = self.names()
        self.client(query(f"SELECT {', '.join(['id', *names])} FROM customers"))
        self.server(fields("id", *names), *self.some_rows(names))
        self.end("SELECT 1")

    def copy_out(self) -> None:
        names = self.choice.choice((["email"], ["ssn", "email"], ["email", "ssn"]))
        self.client(query(f"COPY customers (id, {', '.join(names)}) TO STDOUT"))
        self.server(message(ord("H"), b"\0" + (len(names) + 1).to_bytes(2, "big") + b"\0\0" * 4))
        self.server(*self.some_rows(names, copied=True))
        if self.choice.random() < 0.7:
            self.server(message(ord("c"), b""), done("COPY 1"), ready())
        else:
            self.cut()

    def portal(self) -> None:
        names = self.names()
        sql = f"SELECT {', '.join(['id', *names])} FROM customers".encode()
        run = write_execute(b"p", 100)
        self.client(
            write_parse(Parse(b"s", sql, ())),
            write_target(ord("D"), "S", b"s"),
            write_bind(Bind(b"p", b"s", (), (), ())),
        )
        self.server(reply("1"), write_parameter_description(()), fields("id", *names), reply("2"))
        for _ in range(self.choice.randint(1, 4)):
            self.client(run)
            self.server(*self.some_rows(names), reply("s"))
        if self.choice.random() < 0.5:
            self.client(write_target(ord("C"), "P", b"p"))
            self.server(reply("3"))
        elif self.choice.random() < 0.5:
            self.client(run)
            self.server(*self.some_rows(names))
            if self.choice.random() < 0.3:
                self.cut()
                return
            self.server(done("SELECT 1"))
        self.client(SYNC_MESSAGE)
        self.server(ready())

    def insert(self) -> None:
        """Literals by a Query, or a parameter; RETURNING what was stored, and other cells."""
        if self.login != "shop_app":
            return
        self.sent.clear()
        count = self.choice.choice((1, 3, 300))
        rows = ", ".join(
            f"('a{n}', {self.choice.choice(('NULL', repr(str(n))))})" for n in range(count)
        )
        returning = self.choice.choice(("", " RETURNING id, email"))
        self.client(query(f"INSERT INTO customers (email, ssn) VALUES {rows}{returning}"))
        if returning:
            self.server(fields("id", "email"), *self.some_rows(["email"]))
        self.end(f"INSERT 0 {count}", writes=True)

    def update(self) -> None:
        if self.login != "shop_app":
            return
        self.sent.clear()
        self.client(
            write_parse(Parse(b"u", b"UPDATE customers SET email = $1, ssn = 'x'", ())),
            write_bind(Bind(b"", b"u", (0,), (self.choice.choice((b"a", None)),), ())),
            write_execute(b""),
            SYNC_MESSAGE,
        )
        self.server(reply("12n"))
        self.end("UPDATE 7", writes=True)

    def end(self, tag: str, *, writes: bool = False) -> None:
        how = self.choice.random()
        if how < 0.7:
            self.server(done(tag), ready())
        elif how < 0.9:
            self.server(error("57014"), ready())
        else:
            self.cut()
        if writes and not 0.7 <= how < 0.9:
            self.written += self.sent

    def cut(self) -> None:
        """The end of the session, from either side."""
        session = self.talk.session
        self.did(session.client_gone() if self.choice.random() < 0.5 else session.server_gone())
        self.alive = False


MAGIC = re.compile(rb"\\x(5ea101[0-9a-f]+)|(\x5e\xa1\x01)", re.DOTALL)


def sealed_values(sent: bytes) -> list[bytes]:
    """In the text of a Query, or as a parameter of Bind."""
    found = []
    for match in MAGIC.finditer(sent):
        if match[1]:
            found.append(bytes.fromhex(match[1].decode()))
        else:
            size = int.from_bytes(sent[match.start() - 4 : match.start()], "big")
            found.append(sent[match.start() : match.start() + size])
    assert all(map(looks_sealed, found))
    return found


@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(n, marks=pytest.mark.long) for n in range(5, 200))]
)
def test_what_is_disclosed_is_what_was_shown(seed: int, tmp_path: Path) -> None:
    """Exactly the cells of the rows that went to the client, each behind its event; exactly the values that were sealed for
    statements that the server has not said to have failed.
    """
    print(f"seed {SEED + seed}")
    choice = random.Random(SEED + seed)
    told = 0
    for _ in range(6):
        world = World(choice, tmp_path)
        kinds = (world.select, world.copy_out, world.portal, world.insert, world.update)
        for _ in range(8):
            if world.alive:
                choice.choice(kinds)()
        if world.alive:
            world.cut()
        world.files.close()
        assert world.told == world.shown + world.written
        told += world.told.total()
    assert told > 100


@pytest.mark.parametrize("login", list(OUTCOMES))
@pytest.mark.parametrize("copied", [False, True])
def test_a_long_result_in_parts(login: str, copied: bool, tmp_path: Path) -> None:
    """Each part has the ids of its own rows, all of them in the side file."""
    choice = random.Random(SEED)
    world = World(choice, tmp_path)
    world.talk, world.outcome = Talk(login), OUTCOMES[login]
    rows = [world.row(["email", "ssn"], copied=copied) for _ in range(7_000)]
    if copied:
        world.client(query("COPY customers (id, email, ssn) TO STDOUT"))
        world.server(message(ord("H"), b"\0\0\3" + bytes(6)), *rows)
        world.server(message(ord("c"), b""), done("COPY 7000"), ready())
    else:
        world.client(query("SELECT id, email, ssn FROM customers"))
        world.server(fields("id", "email", "ssn"), *rows, done("SELECT 7000"), ready())
    assert world.told == world.shown
    assert len(world.shown) > 12_000
    assert world.events >= (1 if login == "nobody" else 2)
    world.files.close()


def test_the_account_would_notice() -> None:
    """A row that is shown and not told of, and one that is told of and not shown."""
    world = World(random.Random(SEED), Path("/nowhere"))
    sent = world.row(["email"])
    with pytest.raises(AssertionError, match="released before"):
        world.did([ToClient(sent)])
