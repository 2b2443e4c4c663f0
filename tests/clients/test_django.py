"""Django 5: the ORM over sealed columns, its client-side and its server-side parameter binding."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from django.core.paginator import Paginator
from django.db import IntegrityError, connection, models, transaction
from django.db.utils import DatabaseError

from tests.clients import django_site  # isort: split  # sets Django up
from tests.clients.django_accounts.models import Account, Contact, Visit
from tests.clients.matrix import Case, Client
from tests.clients.people import EDGES, MEGABYTE, person
from tests.clients.twins import Twins

CLIENT: Final = Client(
    "Django 5",
    "django",
    "ORM and migrations; psycopg 3 with literals and with server-side binding",
    "none",
)
MODES: Final[dict[str, dict[str, Any]]] = {"literals": {}, "binding": {"server_side_binding": True}}

DjangoScript = Callable[[], Iterator[Any]]


def same(ability: str) -> Callable[[DjangoScript], DjangoScript]:
    """One case per way of binding."""

    def register(script: DjangoScript) -> DjangoScript:
        for mode, options in MODES.items():
            CLIENT.cases.append(Case(CLIENT.name, ability, connected(script, options), mode))
        return script

    return register


def connected(script: DjangoScript, options: dict[str, Any]) -> Callable[[str], Iterator[Any]]:
    def run(dsn: str) -> Iterator[Any]:
        with django_site.connected(dsn, **options):
            yield from script()

    run.__name__ = script.__name__
    return run


def fill(count: int) -> None:
    for number in range(1, count + 1):
        Account.objects.create(**person(number))


@same("insert with RETURNING")
def insert() -> Iterator[Any]:
    one = Account.objects.create(**person(1))
    yield one.values()
    one.refresh_from_db()
    yield one.values()
    two = Account(**person(2), note="given")
    two.save()
    two.seen.create(place="here", detail={"a": None})
    yield two.pk, [visit.place for visit in two.seen.all()]
    yield Account.objects.create(name="empty").values()


@same("read every type")
def read() -> Iterator[Any]:
    fill(5)
    Visit.objects.create(account_id=2, place="here")
    yield [found.values() for found in Account.objects.order_by("id")]
    yield list(Account.objects.order_by("id").values())
    yield list(Account.objects.order_by("id").values_list("email", "born", named=True))
    yield (
        Account.objects.only("email").get(pk=3).email,
        Account.objects.defer("photo").get(pk=3).ssn,
    )
    yield [(v.place, v.account.email) for v in Visit.objects.select_related("account")]
    prefetched = Account.objects.prefetch_related("seen").order_by("id")
    yield [(a.ssn, [v.place for v in a.seen.all()]) for a in prefetched]
    yield Account.objects.in_bulk([1, 4])[4].balance
    yield list(Visit.objects.values_list("place", "account__profile"))
    counted = Account.objects.annotate(times=models.Count("seen")).filter(times__gt=0)
    yield list(counted.values_list("id", "times"))
    yield [a.values() for a in Account.objects.raw("SELECT * FROM account WHERE id = %s", [1])]
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, email, visits FROM account WHERE id < %s ORDER BY id", [3])
        yield cursor.fetchall(), [tuple(c) for c in cursor.description]
    newest = Visit.objects.filter(account=models.OuterRef("pk")).order_by("-id").values("place")[:1]
    placed = Account.objects.annotate(place=models.Subquery(newest)).order_by("id")
    yield [(a.email, a.place) for a in placed]


@same("NULL, empty, 1 MB and unicode values")
def edges() -> Iterator[Any]:
    for column, values in {**EDGES, **{k: [v] for k, v in MEGABYTE.items()}}.items():
        for value in values:
            if value != value:  # Django refuses NaN by itself.
                continue
            made = Account.objects.create(name="e", **{column: value})
            made.refresh_from_db()
            yield column, getattr(made, column)


@same("values the server does not take")
def wrong_values() -> Iterator[Any]:
    for column, value in (
        ("ssn", "a\0b"),
        ("email", "x" * 121),
        ("visits", 2**31),
        ("balance", decimal.Decimal("1e10")),
    ):
        try:
            with transaction.atomic():
                Account.objects.create(name="w", **{column: value})
        except (DatabaseError, ValueError, decimal.InvalidOperation) as error:
            yield column, type(error).__name__
    yield Account.objects.count()


@same("find by sealed e-mail: parameter")
def by_parameter() -> Iterator[Any]:
    fill(4)
    email = "person3@quux.example"
    ids = Account.objects.order_by("id").values_list("id", flat=True)
    for found in (
        ids.filter(email=email),
        ids.filter(email__exact=email),
        ids.exclude(email=email),
        ids.filter(email__isnull=False),
        ids.filter(~models.Q(email=email) | models.Q(id=3)),
        ids.filter(email=None),
        ids.filter(email=models.Value(email)),
        ids.filter(seen__account__email=email),
        ids.filter(pk__in=Account.objects.filter(email=email).values("pk")),
    ):
        yield list(found)
    yield Account.objects.get(email=email).values()
    yield Account.objects.filter(email=email).exists(), Account.objects.filter(email="x").exists()
    yield Account.objects.filter(email=email).count()
    yield Account.objects.filter(email=email).first() is not None
    try:
        Account.objects.get(email="nobody@quux.example")
    except Account.DoesNotExist as error:
        yield error
    yield list(
        ids.annotate(known=models.Exists(Account.objects.filter(email=email))).filter(known=True)
    )
    case = models.Case(
        models.When(email=email, then=models.Value("yes")), default=models.Value("no")
    )
    yield list(Account.objects.order_by("id").annotate(found=case).values_list("id", "found"))


@same("find by sealed e-mail: IN, ANY")
def by_several() -> Iterator[Any]:
    fill(4)
    two = ["person3@quux.example", "nobody@quux.example"]
    ids = Account.objects.order_by("id").values_list("id", flat=True)
    yield list(ids.filter(email__in=two)), list(ids.exclude(email__in=two))
    yield list(ids.filter(email__in=[])), list(ids.filter(email__in=[*two, None]))
    yield {k: v.pk for k, v in Account.objects.in_bulk(two, field_name="email").items()}


@same("update and delete by sealed e-mail")
def change() -> Iterator[Any]:
    fill(5)
    one = Account.objects.get(pk=1)
    one.ssn, one.visits, one.profile = "555-QX-new", None, {"a": []}
    one.save()
    one.balance = decimal.Decimal("1.5")
    one.save(update_fields=["balance"])
    yield Account.objects.filter(email="person2@quux.example").update(
        born=datetime.date(1999, 12, 31), note="changed"
    )
    yield Account.objects.filter(email="person5@quux.example").delete()
    Account.objects.get(pk=4).delete()
    yield [found.values() for found in Account.objects.order_by("id")]


@same("upsert with EXCLUDED")
def get_or_create() -> Iterator[Any]:
    fill(2)
    for email in ("person1@quux.example", "new@quux.example", "new@quux.example"):
        found, made = Account.objects.get_or_create(
            email=email, defaults={"name": "n", "visits": 3}
        )
        yield found.values(), made
        found, made = Account.objects.update_or_create(
            email=email, defaults={"ssn": "555-QX-u"}, create_defaults={"name": "c"}
        )
        yield found.values(), made
    one = Account.objects.bulk_create(
        [Account(**{**person(1), "ssn": "555-QX-upsert"})],
        update_conflicts=True,
        unique_fields=["email"],
        update_fields=["ssn", "born"],
    )
    yield [found.pk for found in one]
    Account.objects.bulk_create([Account(**person(1))], ignore_conflicts=True)
    yield [found.values() for found in Account.objects.order_by("id")]


@same("bulk insert")
def bulk_create() -> Iterator[Any]:
    made = Account.objects.bulk_create([Account(**person(n)) for n in range(1, 60)], batch_size=25)
    yield [found.pk for found in made]
    again = [Account(**{**person(n), "ssn": f"555-QX-{n}"}) for n in range(50, 70)]
    Account.objects.bulk_create(
        again, update_conflicts=True, unique_fields=["email"], update_fields=["ssn", "name"]
    )
    Account.objects.bulk_create(again, ignore_conflicts=True)
    yield [found.values() for found in Account.objects.order_by("id")]


def contact(number: int) -> Contact:
    names = ("name", "email", "ssn", "born", "visits", "balance")
    return Contact(**{k: v for k, v in person(number).items() if k in names})


@same("bulk insert")
def bulk_create_by_unnest() -> Iterator[Any]:
    """INSERT ... SELECT * FROM UNNEST(($1)::varchar[], ...)."""
    made = Contact.objects.bulk_create([contact(n) for n in range(1, 40)])
    yield [found.pk for found in made]
    again = [contact(n) for n in range(35, 45)]
    for each in again:
        each.ssn, each.born = "555-QX-a,\"{}\\' é", None
    Contact.objects.bulk_create(
        again, update_conflicts=True, unique_fields=["email"], update_fields=["ssn", "born"]
    )
    Contact.objects.bulk_create(again, ignore_conflicts=True)
    yield [found.values() for found in Contact.objects.order_by("id")]


@same("bulk insert")
def bulk_update() -> Iterator[Any]:
    fill(5)
    changed = list(Account.objects.order_by("id"))
    for account in changed:
        account.ssn, account.visits, account.note = f"555-QX-b{account.pk}", account.pk, "b"
        account.born = None if account.pk == 3 else datetime.date(2001, 2, account.pk)
    yield Account.objects.bulk_update(changed, ["ssn", "visits", "born", "note"])
    yield [found.values() for found in Account.objects.order_by("id")]


@same("page by LIMIT/OFFSET and by key")
def pages() -> Iterator[Any]:
    fill(25)
    paginator = Paginator(Account.objects.order_by("id"), 10)
    for page in paginator:
        yield page.number, [found.values() for found in page]
    last = 0
    while found := list(Account.objects.filter(pk__gt=last).order_by("pk")[:7]):
        yield [account.email for account in found]
        last = found[-1].pk


@same("rows in portions (cursors)")
def iterator() -> Iterator[Any]:
    """QuerySet.iterator: a named cursor WITH HOLD outside of a transaction, without it inside."""
    fill(30)
    yield [found.values() for found in Account.objects.order_by("id").iterator(chunk_size=7)]
    with transaction.atomic():
        emails = Account.objects.filter(pk__gt=5).order_by("id").values_list("email", flat=True)
        yield list(emails.iterator(chunk_size=4))


@same("transactions")
def transactions() -> Iterator[Any]:
    try:
        with transaction.atomic():
            Account.objects.create(**person(1))
            raise ZeroDivisionError
    except ZeroDivisionError:
        yield Account.objects.count()
    said: list[str] = []
    with transaction.atomic():
        Account.objects.create(**person(2))
        transaction.on_commit(lambda: said.append("committed"))
        locked = Account.objects.select_for_update(of=("self",), skip_locked=True)
        yield locked.get(email="person2@quux.example").values(), list(said)
    yield said, connection.in_atomic_block
    transaction.set_autocommit(False)
    Account.objects.create(**person(3))
    transaction.rollback()
    transaction.set_autocommit(True)
    yield Account.objects.count()


@same("savepoints")
def savepoints() -> Iterator[Any]:
    with transaction.atomic():
        Account.objects.create(**person(1))
        try:
            with transaction.atomic():
                Account.objects.create(**person(2))
                Account.objects.create(**person(1))
        except IntegrityError as error:
            yield error
        with transaction.atomic():
            Account.objects.create(**person(3))
    yield [found.values() for found in Account.objects.order_by("id")]


@same("errors inside transactions")
def errors() -> Iterator[Any]:
    fill(1)
    for sql, parameters in (
        ("SELECT nosuch FROM account", []),
        ("INSERT INTO account (name, email) VALUES ('x', %s)", ["person1@quux.example"]),
        ("INSERT INTO account (email) VALUES (%s)", ["n@quux.example"]),
    ):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(sql, parameters)
        except DatabaseError as error:
            yield error
        yield list(Account.objects.values_list("email"))
    try:
        with transaction.atomic():
            try:
                Account.objects.create(**person(1))
            except IntegrityError:
                Account.objects.count()
    except transaction.TransactionManagementError as error:
        yield error


@same("reconnect after the server ended the session")
def reconnect() -> Iterator[Any]:
    fill(1)
    other = connection.copy()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    other.close()
    try:
        Account.objects.count()
    except DatabaseError as error:
        yield type(error).__name__
    connection.close_if_unusable_or_obsolete()
    yield list(Account.objects.values_list("email"))


@same("catalog queries of its own")
def introspection() -> Iterator[Any]:
    """What `inspectdb` asks: tables, descriptions, keys, constraints."""
    with connection.cursor() as cursor:
        look = connection.introspection
        yield sorted(tuple(table) for table in look.get_table_list(cursor))
        for table in ("visit",):
            yield [tuple(column) for column in look.get_table_description(cursor, table)]
            yield look.get_relations(cursor, table), look.get_primary_key_columns(cursor, table)
            yield sorted(look.get_constraints(cursor, table))
        yield look.get_sequences(cursor, "account")


@pytest.mark.parametrize("case", CLIENT.cases, ids=str)
def test_same_as_the_plain_twin(twins: Twins, case: Case) -> None:
    """What Django sees through the proxy is what it sees on a plain table around it."""
    twins.compare(case)
