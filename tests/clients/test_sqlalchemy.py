"""SQLAlchemy 2: Core and ORM, over four drivers, asyncio among them.

It casts nearly every parameter (`$1::VARCHAR`), inserts many rows in one statement with RETURNING
(insertmanyvalues), and emulates nested transactions by savepoints.
"""

from __future__ import annotations

import asyncio
import datetime
import decimal
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import pytest
import sqlalchemy as sa
from sqlalchemy import exc, orm
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from tests.clients.matrix import Case, Client
from tests.clients.people import COLUMNS, EDGES, MEGABYTE, person
from tests.clients.twins import Twins

CLIENT: Final = Client(
    "SQLAlchemy 2",
    "sqlalchemy",
    "Core, ORM, asyncio; dialects psycopg, psycopg2, pg8000, asyncpg",
    "none",
)
DIALECTS: Final = ("psycopg", "psycopg2", "pg8000", "asyncpg")

SessionScript = Callable[[Session], Iterator[Any]]


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.Text)
    email: Mapped[str | None] = mapped_column(sa.String(120), unique=True)
    ssn: Mapped[str | None] = mapped_column(sa.Text)
    born: Mapped[datetime.date | None]
    visits: Mapped[int | None]
    balance: Mapped[decimal.Decimal | None] = mapped_column(sa.Numeric(12, 2))
    profile: Mapped[Any] = mapped_column(postgresql.JSONB(none_as_null=True))
    photo: Mapped[bytes | None]
    note: Mapped[str | None] = mapped_column(sa.Text, server_default="none")
    seen: Mapped[list[Visit]] = relationship(back_populates="who", order_by="Visit.id")

    def values(self) -> tuple[Any, ...]:
        return (self.id, self.note, *(getattr(self, name) for name in COLUMNS))


class Visit(Base):
    __tablename__ = "visit"

    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    place: Mapped[str] = mapped_column(sa.Text)
    detail: Mapped[Any] = mapped_column(postgresql.JSONB)
    who: Mapped[Account] = relationship(back_populates="seen")


TABLE: Final = Base.metadata.tables["account"]


def url(dsn: str, dialect: str) -> str:
    return dsn.replace("postgresql://", f"postgresql+{dialect}://")


def same(ability: str, *dialects: str) -> Callable[[SessionScript], SessionScript]:
    """One case per dialect: a script over a Session."""

    def register(script: SessionScript) -> SessionScript:
        for dialect in dialects or DIALECTS:
            run = over_asyncpg(script) if dialect == "asyncpg" else over(script, dialect)
            CLIENT.cases.append(Case(CLIENT.name, ability, run, dialect))
        return script

    return register


def over(script: SessionScript, dialect: str) -> Callable[[str], Iterator[Any]]:
    def run(dsn: str) -> Iterator[Any]:
        engine = sa.create_engine(url(dsn, dialect))
        try:
            with Session(engine) as session:
                yield from script(session)
        finally:
            engine.dispose()

    run.__name__ = script.__name__
    return run


def over_asyncpg(script: SessionScript) -> Callable[[str], AsyncIterator[Any]]:
    async def run(dsn: str) -> AsyncIterator[Any]:
        engine = create_async_engine(url(dsn, "asyncpg"))
        try:
            async with AsyncSession(engine) as session:
                for value in await session.run_sync(lambda plain: list(script(plain))):
                    yield value
        finally:
            await engine.dispose()

    run.__name__ = script.__name__
    return run


def fill(session: Session, count: int) -> None:
    session.execute(sa.insert(TABLE), [person(n) for n in range(1, count + 1)])
    session.commit()


@same("insert with RETURNING")
def insert(session: Session) -> Iterator[Any]:
    one = Account(**person(1))
    session.add(one)
    session.flush()
    yield one.values()
    session.refresh(one)
    yield one.values()
    yield session.execute(sa.insert(TABLE).values(person(2)).returning(TABLE)).all()
    yield session.scalars(sa.insert(Account).returning(Account), [person(3)]).one().values()
    two = Account(name="two", seen=[Visit(place="here"), Visit(place="there", detail={"a": 1})])
    session.add(two)
    session.commit()
    yield two.values(), [visit.place for visit in two.seen]


@same("read every type")
def read(session: Session) -> Iterator[Any]:
    fill(session, 5)
    session.add(Visit(account=2, place="here"))
    session.commit()
    yield [found.values() for found in session.scalars(sa.select(Account).order_by(Account.id))]
    yield session.execute(sa.select(TABLE).where(TABLE.c.id == 3)).one()
    yield session.execute(sa.select(Account.id, Account.email, Account.born)).mappings().first()
    session.expire_all()
    found = session.get(Account, 2)
    assert found is not None
    yield found.values(), [visit.place for visit in found.seen]
    for load in (orm.joinedload, orm.selectinload, orm.subqueryload):
        session.expire_all()
        query = sa.select(Account).options(load(Account.seen)).order_by(Account.id)
        yield [(a.email, len(a.seen)) for a in session.scalars(query).unique()]
    joined = sa.select(Visit.place, Account.ssn, Account.balance).join(Visit.who)
    yield session.execute(joined).all()
    below = sa.select(Account.id, Account.email, Account.profile).subquery()
    yield session.execute(sa.select(below).where(below.c.id < 3).order_by(below.c.id)).all()
    inner = sa.select(Account).where(Account.id > 3).cte("inner")
    yield session.execute(sa.select(inner.c.email, inner.c.photo).order_by(inner.c.id)).all()
    aliased = orm.aliased(Account, name="other")
    yield session.execute(
        sa.select(Account.email, aliased.email)
        .join(aliased, aliased.id == Account.id + 1)
        .order_by(Account.id)
    ).all()
    yield session.scalar(sa.select(sa.func.count()).select_from(Account))
    yield session.scalar(sa.select(sa.func.count(Account.ssn)))


@same("NULL, empty, 1 MB and unicode values")
def edges(session: Session) -> Iterator[Any]:
    for column, values in {**EDGES, **{k: [v] for k, v in MEGABYTE.items()}}.items():
        for value in values:
            statement = sa.insert(TABLE).values({"name": "e", column: value})
            yield column, session.execute(statement.returning(TABLE.c[column])).one()
    session.commit()
    yield session.execute(sa.select(TABLE).order_by(TABLE.c.id)).all()


@same("values the server does not take")
def wrong_values(session: Session) -> Iterator[Any]:
    for column, value in (
        ("ssn", "a\0b"),
        ("email", "x" * 121),
        ("visits", 2**31),
        ("balance", decimal.Decimal("12345678901")),
    ):
        session.add(Account(name="w", **{column: value}))
        try:
            session.commit()
        except (exc.DBAPIError, ValueError) as error:
            yield column, type(error).__name__
        session.rollback()
    yield session.scalar(sa.select(sa.func.count()).select_from(Account))


@same("find by sealed e-mail: parameter")
def by_parameter(session: Session) -> Iterator[Any]:
    fill(session, 4)
    email = "person3@quux.example"
    for condition in (
        Account.email == email,
        sa.literal(email) == Account.email,
        Account.email != email,
        Account.email.is_(None),
        Account.email.is_not(None),
        sa.and_(Account.email == email, Account.id > 1),
        sa.or_(Account.email == email, Account.id == 1),
        sa.not_(Account.email == email),
        Account.email.is_distinct_from(email),
        sa.exists().where(Account.email == email),
        Account.id == sa.select(Account.id).where(Account.email == email).scalar_subquery(),
        Account.seen.any(Visit.place == "here"),
    ):
        yield session.scalars(sa.select(Account.id).where(condition).order_by(Account.id)).all()
    for given in (email, "nobody@quux.example", None):
        found = session.scalars(sa.select(Account).filter_by(email=given)).one_or_none()
        yield found and found.values()
    yield session.query(Account.id).filter(Account.email == email).first()
    yield session.query(Account).filter(Account.email == email).count()
    yield session.query(Account.id).filter(Visit.who.has(Account.email == email)).all()


@same("find by sealed e-mail: literal")
def by_literal(session: Session) -> Iterator[Any]:
    fill(session, 4)
    yield session.execute(
        sa.text("SELECT id, ssn FROM account WHERE email = 'person3@quux.example'")
    ).all()
    yield session.execute(
        sa.text("SELECT id, born FROM account WHERE email = :email"),
        {"email": "person3@quux.example"},
    ).all()
    literal = sa.literal("person2@quux.example", literal_execute=True)
    yield session.scalars(sa.select(Account.id).where(Account.email == literal)).all()


@same("find by sealed e-mail: IN, ANY")
def by_several(session: Session) -> Iterator[Any]:
    fill(session, 4)
    two = ["person3@quux.example", "nobody@quux.example"]
    for condition in (
        Account.email.in_(two),
        Account.email.in_([]),
        Account.email.not_in(two),
        Account.email.in_(sa.select(Account.email).where(Account.id == 2)),
        Account.email == sa.any_(sa.literal(two, postgresql.ARRAY(sa.String))),
    ):
        yield session.scalars(sa.select(Account.id).where(condition).order_by(Account.id)).all()


@same("update and delete by sealed e-mail")
def change(session: Session) -> Iterator[Any]:
    fill(session, 5)
    one = session.get(Account, 1)
    assert one is not None
    one.ssn, one.visits, one.profile = "555-QX-new", None, {"a": []}
    session.flush()
    session.refresh(one)
    yield one.values()
    yield session.execute(
        sa.update(Account)
        .where(Account.email == "person2@quux.example")
        .values(born=datetime.date(1999, 12, 31), note="changed")
        .returning(Account.id, Account.born)
    ).all()
    session.execute(
        sa.update(Account), [{"id": n, "ssn": f"555-QX-{n}", "email": None} for n in (3, 4)]
    )
    yield session.execute(
        sa.delete(Account).where(Account.email == "person5@quux.example").returning(Account.photo)
    ).all()
    session.delete(one)
    session.commit()
    session.merge(Account(id=2, name="merged", email="merged@quux.example"))
    session.commit()
    yield session.execute(sa.select(TABLE).order_by(TABLE.c.id)).all()


@same("upsert with EXCLUDED")
def upsert(session: Session) -> Iterator[Any]:
    fill(session, 2)
    for element in ("id", "email"):
        statement = postgresql.insert(TABLE)
        values = [{"id": 2, **person(7)}, {"id": 9, **person(9)}]
        if element == "email":
            values = [{**person(7), "ssn": "555-QX-upsert"}, {**person(8), "ssn": None}]
        excluded = {name: statement.excluded[name] for name in COLUMNS if name != element}
        upserting = statement.on_conflict_do_update(index_elements=[element], set_=excluded)
        yield session.execute(upserting.returning(TABLE), values).all()
        done = session.execute(statement.values(values).on_conflict_do_nothing())
        yield getattr(done, "rowcount", None)
    session.commit()
    yield session.execute(sa.select(TABLE).order_by(TABLE.c.id)).all()


@same("bulk insert")
def insertmanyvalues(session: Session) -> Iterator[Any]:
    rows = [person(n) for n in range(1, 60)]
    ordered = sa.insert(Account).returning(Account.id, Account.email, sort_by_parameter_order=True)
    yield session.execute(ordered, rows).all()
    session.execute(sa.insert(TABLE), [person(n) for n in range(200, 230)])
    session.execute(sa.insert(TABLE).values([person(n) for n in range(300, 310)]))
    session.add_all([Account(**person(n)) for n in range(400, 420)])
    session.commit()
    session.bulk_save_objects([Account(**person(n)) for n in range(500, 510)])
    session.bulk_insert_mappings(orm.class_mapper(Account), [person(n) for n in range(600, 610)])
    session.commit()
    yield session.execute(sa.select(TABLE).order_by(TABLE.c.id)).all()


@same("bulk insert")
def insert_from_select(session: Session) -> Iterator[Any]:
    fill(session, 3)
    source = sa.select(Account.name, Account.ssn, Account.born)
    session.execute(sa.insert(TABLE).from_select(["name", "ssn", "born"], source))
    yield session.execute(sa.select(TABLE.c.ssn, TABLE.c.born).order_by(TABLE.c.id)).all()


@same("page by LIMIT/OFFSET and by key")
def pages(session: Session) -> Iterator[Any]:
    fill(session, 25)
    query = sa.select(Account).order_by(Account.id)
    for page in range(4):
        yield [a.values() for a in session.scalars(query.limit(10).offset(page * 10))]
    last = 0
    while found := session.scalars(query.where(Account.id > last).limit(7)).all():
        yield [a.email for a in found]
        last = found[-1].id
    windowed = sa.select(
        Account.email, sa.func.row_number().over(order_by=Account.id).label("place")
    ).subquery()
    yield session.execute(sa.select(windowed).where(windowed.c.place.between(3, 5))).all()


@same("rows in portions (cursors)", "psycopg", "psycopg2", "asyncpg")
def yield_per(session: Session) -> Iterator[Any]:
    """Server-side cursors: named ones with psycopg and psycopg2, portals with asyncpg."""
    fill(session, 60)
    query = sa.select(Account).order_by(Account.id).execution_options(yield_per=7)
    yield [a.values() for a in session.scalars(query)]
    streamed = session.execute(sa.select(TABLE), execution_options={"stream_results": True})
    yield len(streamed.fetchmany(5)), len(streamed.all())
    yield [len(part) for part in session.scalars(query).partitions(25)]


@same("transactions")
def transactions(session: Session) -> Iterator[Any]:
    session.add(Account(**person(1)))
    session.flush()
    session.rollback()
    yield session.scalar(sa.select(sa.func.count()).select_from(Account))
    session.rollback()
    session.connection(execution_options={"isolation_level": "SERIALIZABLE"})
    session.add(Account(**person(2)))
    session.commit()
    locked = sa.select(Account).with_for_update(skip_locked=True)
    yield [a.values() for a in session.scalars(locked)]


@same("savepoints")
def savepoints(session: Session) -> Iterator[Any]:
    with session.begin():
        session.add(Account(**person(1)))
        session.flush()
        try:
            with session.begin_nested():
                session.add(Account(**person(2)))
                session.flush()
                session.add(Account(**person(1)))
                session.flush()
        except exc.IntegrityError as error:
            yield error
        with session.begin_nested():
            session.add(Account(**person(3)))
    yield session.execute(sa.select(TABLE).order_by(TABLE.c.id)).all()


@same("errors inside transactions")
def errors(session: Session) -> Iterator[Any]:
    fill(session, 1)
    for statement in (
        sa.text("SELECT nosuch FROM account"),
        sa.insert(TABLE).values(person(1)),
        sa.insert(TABLE).values(email="n@quux.example"),
        sa.insert(Visit).values(account=99, place="x"),
    ):
        for repeated in (statement, sa.select(Account.email)):
            try:
                session.execute(repeated)
            except exc.DBAPIError as error:
                yield error
        session.rollback()
        yield session.scalars(
            sa.select(Account.id).where(Account.email == "person1@quux.example")
        ).all()


@same("reconnect after the server ended the session", "psycopg", "psycopg2", "pg8000")
def reconnect(session: Session) -> Iterator[Any]:
    fill(session, 1)
    pid = session.scalar(sa.select(sa.func.pg_backend_pid()))
    assert isinstance(session.bind, sa.Engine)
    with session.bind.connect() as other:
        other.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    try:
        session.execute(sa.select(Account.email))
    except exc.DBAPIError as error:
        yield error.connection_invalidated
    session.rollback()
    yield session.scalars(sa.select(Account.email)).all()


@same("connection pool", "psycopg", "psycopg2", "pg8000")
def pool(session: Session) -> Iterator[Any]:
    """Checked in with ROLLBACK, pinged when checked out."""
    assert isinstance(session.bind, sa.Engine)
    engine = sa.create_engine(session.bind.url, pool_size=2, pool_pre_ping=True)
    for number in range(1, 6):
        with Session(engine) as one:
            one.add(Account(**person(number)))
            yield one.scalars(sa.select(Account.email).order_by(Account.id)).all()
            if number % 2:
                one.commit()
    engine.dispose()


async def asyncio_sessions(dsn: str) -> AsyncIterator[Any]:
    """AsyncSession as applications write it: concurrent, streaming, with expired attributes."""
    engine = create_async_engine(url(dsn, "asyncpg"), pool_size=3)

    async def one(number: int) -> str | None:
        async with AsyncSession(engine) as session, session.begin():
            account = Account(**person(number))
            session.add(account)
            await session.flush()
            await session.refresh(account, ["email"])
            return account.email

    yield await asyncio.gather(*(one(number) for number in range(1, 15)))
    async with AsyncSession(engine) as session:
        streamed = await session.stream_scalars(
            sa.select(Account.ssn).order_by(Account.ssn.is_(None), Account.name)
        )
        yield [ssn async for ssn in streamed]
        found = await session.scalars(
            sa.select(Account).where(Account.email == "person4@quux.example")
        )
        yield found.one().born
        yield (
            await session.scalar(
                sa.select(Account.profile).where(Account.ssn.is_not(None)).limit(1)
            )
            is not None
        )
    await engine.dispose()


CLIENT.same("read every type")(asyncio_sessions)


@same("catalog queries of its own")
def catalog(session: Session) -> Iterator[Any]:
    """What the inspector says of keys, constraints and unprotected columns; sealed columns show their domain."""
    inspector = sa.inspect(session.connection())
    yield sorted(inspector.get_table_names())
    yield inspector.get_pk_constraint("account"), inspector.get_foreign_keys("visit")
    for table in ("visit", "account"):
        yield [
            (c["name"], str(c["type"]), c["nullable"], c["default"])
            for c in inspector.get_columns(table)
            if c["name"] not in COLUMNS or c["name"] == "name"
        ]
    reflected = sa.MetaData()
    reflected.reflect(session.connection(), only=["visit", "account"])
    yield [(t.name, [c.name for c in t.columns]) for t in reflected.sorted_tables]


@pytest.mark.parametrize("case", CLIENT.cases, ids=str)
def test_same_as_the_plain_twin(twins: Twins, case: Case) -> None:
    """What SQLAlchemy sees through the proxy is what it sees on a plain table around it."""
    twins.compare(case)
