"""What a session finds by identity, because it was asked for last, is what it would have worked out anew."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from policy import Access
from proxy.cells import Settings
from proxy.outgoing import Outgoing
from proxy.response import _affected
from proxy.rows import Programs, RowProgram
from proxy.shape import Shape, read_shape
from proxy.snapshot import Authority, Snapshot
from proxy.sql.plan import Action, Refusal, StatementPlan, Touch
from proxy.tally import Tally
from proxy.wire.messages import Field, write_row_description
from tests.session.test_rows import data_row, told
from tests.session.transcript import BYTEA, EMAIL, SSN, VIEW, fields, seal, snapshot

SEEDS = range(20)
APP, SUPPORT = frozenset(["shop_app"]), frozenset(["support"])


def plan(*outputs: str | None) -> StatementPlan:
    return StatementPlan(Action.APPLY, ("-",), "SELECT", outputs=outputs or None)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_shape_is_that_of_its_description_plan_and_snapshot(seed: int) -> None:
    """Any order of descriptions and plans, equal ones in other objects too, and a new snapshot in between."""
    draw = random.Random(seed)
    print(f"seed {seed}")
    bodies = [
        fields("email")[5:],
        fields("email", form=1)[5:],
        fields("ssn")[5:],
        fields("email", "ssn")[5:],
        fields("email", table=VIEW)[5:],
        fields(*["email", "n"] * 60)[5:],
        write_row_description((Field(b"lower", 0, 0, BYTEA, -1, -1, 0),))[5:],
    ]
    assert max(map(len, bodies)) > 1024
    plans = [
        None,
        plan(),
        plan(SSN),
        plan(EMAIL, SSN),
        plan(None),
    ]
    email = plan(EMAIL)
    plans += [email, replace(email, shown=((0, "varchar"),))]
    authority = Authority(snapshot(), APP)
    for _ in range(200):
        if draw.random() < 0.05:
            authority = Authority(snapshot(), APP)
        body, of = bytes(bytearray(draw.choice(bodies))), draw.choice(plans)
        if of is not None and draw.random() < 0.5:
            of = replace(of)
        at = authority.snapshot
        outputs, shown = (of.outputs, of.shown) if of is not None else (None, ())
        anew = read_shape(body, at.catalog, outputs, at.type_of, shown)
        for _ in range(draw.randint(1, 2)):
            assert authority.shape(body, of) == anew


@pytest.mark.parametrize("seed", SEEDS)
def test_a_verdict_is_that_of_its_plan_and_principal(seed: int) -> None:
    """Any order of plans, with and without touches or a refusal of their own, small and not: what is decided anew."""
    draw = random.Random(seed)
    print(f"seed {seed}")
    shop = snapshot(denied_value="error")
    own = Refusal("0A000", "no", "")
    plans = [
        replace(plan(), pieces=(text,), refusal=refusal, touches=touches)
        for text in ("-", "-" * 100_000)
        for refusal in (None, own)
        for touches in (
            (),
            (Touch("public.customers", EMAIL, Access.READ),),
            (Touch("public.customers", EMAIL, Access.WRITE),),
        )
    ]
    assert {one.small for one in plans} == {True, False}
    logins = (APP, SUPPORT, frozenset[str]())
    authorities = [Authority(shop, login) for login in logins]
    for _ in range(200):
        who, one = draw.randrange(3), draw.choice(plans)
        verdict = Authority(shop, logins[who]).refusal(one)
        assert authorities[who].refusal(one) == verdict
        if one.refusal is not None:
            assert verdict is own
        else:
            writes = any(touch.access is Access.WRITE for touch in one.touches)
            allowed = (True, not writes, False)[who] or not one.touches
            assert (verdict is None) == allowed


@pytest.mark.parametrize("seed", SEEDS)
def test_a_row_program_is_that_of_its_result(seed: int) -> None:
    """Any order of shapes, formats, principals and settings: the same program where all are the same, and what it shows
    is what a new one shows.
    """
    draw = random.Random(seed)
    print(f"seed {seed}")
    shop = snapshot()
    shapes = [shape(shop, "email"), shape(shop, "ssn")]
    formats = [(), (0,), (1,), (0, 0)]
    authorities = [Authority(shop, APP), Authority(shop, SUPPORT)]
    sessions = [Settings(), Settings(encoding="LATIN1")]
    known = Programs()
    one, form, authority, settings = shapes[0], formats[0], authorities[0], sessions[0]
    for _ in range(300):
        match draw.randrange(6):
            case 0:
                one = draw.choice(shapes)
            case 1:
                form = (*draw.choice(formats),)
            case 2:
                authority = draw.choice(authorities)
            case 3:
                settings = draw.choice(sessions)
        program = known.get(one, form, authority, settings)
        assert known.get(one, (*form,), authority, settings) is program
        value = seal("é@example.com", EMAIL if one is shapes[0] else SSN)
        sent = value if form == (1,) else b"\\x" + value.hex().encode()
        assert shows(program, sent) == shows(RowProgram(one, form, authority, settings), sent)


def shape(shop: Snapshot, name: str) -> Shape:
    return Authority(shop, APP).shape(fields(name)[5:], None)


def shows(program: RowProgram, sent: bytes) -> tuple[object, ...]:
    row, out, tally = data_row([sent]), list[bytes](), Tally()
    return program.unseal_rows(row, 0, len(row), tally, out, 1 << 20), out, told(tally)


def test_outcomes_of_one_column_have_their_own_ids() -> None:
    """Cells of a column that a reload has masked in between: two lists of ids, one of key versions."""
    tally = Tally()
    ids = [bytes([i]) * 8 for i in range(5)]
    tally.use(EMAIL, "clear").add(ids[:2], 1)
    tally.use(SSN, "withheld").add(ids[2:3], None)
    tally.use(EMAIL, "masked").add(ids[3:4], 2)
    tally.use(EMAIL, "clear").add(ids[4:], 2)
    assert {key: use.cells for key, use in tally.uses.items()} == {
        (EMAIL, "clear"): 3,
        (SSN, "withheld"): 1,
        (EMAIL, "masked"): 1,
    }
    assert {key: use.ids for key, use in tally.uses.items()} == {
        (EMAIL, "clear"): [ids[0], ids[1], ids[4]],
        (SSN, "withheld"): [ids[2]],
        (EMAIL, "masked"): [ids[3]],
    }
    assert list(tally.versions(EMAIL)) == [1, 2]
    assert list(tally.versions(SSN)) == []
    assert list(tally.versions("public.customers.id")) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_what_goes_out_is_what_came_but_for_what_is_replaced(seed: int) -> None:
    """Runs, messages in place of others, pieces in between, and parts that are taken early: as if put together byte by byte."""
    draw = random.Random(seed)
    print(f"seed {seed}")
    out = Outgoing()
    for _ in range(60):
        if draw.random() < 0.2:
            out.append(b"<passing>")  # Between two buffers.
            assert out.take() == b"<passing>"
        data = draw.randbytes(draw.randint(0, 40))
        out.begin(data)
        expected, taken = b"", b""
        at = 0
        while at < len(data):
            end = draw.randint(at + 1, len(data))
            act = draw.choice(("relay", "look", "replace", "remove", "insert", "take"))
            if act != "relay":
                out.at = at
            if act in ("replace", "insert"):
                piece = draw.randbytes(draw.randint(1, 5))
                out.append(piece)
                expected += piece
            if act == "take":
                taken += out.take()
                assert taken == expected
            if act in ("replace", "remove"):
                out.skip(end)
            else:
                expected += data[at:end]
            at = end
        out.at = at
        taken += out.take()
        assert taken == expected
        assert out.take() == b""


def test_a_buffer_in_which_nothing_is_replaced_goes_out_as_it_came() -> None:
    """The very object."""
    out, data = Outgoing(), bytes(range(50))
    out.begin(data)
    for out.at in (0, 10, 50):
        pass
    assert out.take() is data


@pytest.mark.parametrize("seed", SEEDS)
def test_the_count_of_a_command_tag(seed: int) -> None:
    """What stands behind the last blank, or is the whole tag, if it is at most twenty ASCII digits."""
    draw = random.Random(seed)
    print(f"seed {seed}")
    tags = [
        b"",
        b" ",
        b"5",
        b"SELECT 3",
        b"INSERT 0 5",
        b"INSERT 0",
        b"BEGIN",
        b"A5",
        b"5 ",
        b"- 5",
    ]
    tags += [b"SELECT " + b"9" * n for n in (1, 19, 20, 21, 4000)] + [b"9" * n for n in (20, 21)]
    tags += [b"X \xb2", b"X \xd9\xa1", b"SELECT 007", b"MERGE -1", b"MERGE +1", b"X 1_0", b"X\t5"]
    for _ in range(300):
        tags.append(bytes(draw.choices(b"0059 \tA-\xb2", k=draw.randint(0, 24))))
    for tag in tags:
        count = tag.rpartition(b" ")[2]
        expected = int(count) if count.isdigit() and len(count) <= 20 else None
        assert _affected(tag) == expected, tag
