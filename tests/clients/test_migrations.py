"""Migrations run through the proxy: Django's and Alembic's, before and after columns are sealed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from tests.clients import django_site  # isort: split  # sets Django up
from tests.clients.conftest import OWNER
from tests.clients.django_people.models import Person, Team
from tests.clients.people import person
from tests.clients.test_django import CLIENT as DJANGO
from tests.conftest import Database
from tests.integration.shop import Shop

NOTHING_SEALED = '[roles.shop_app]\nclear = ["public.*"]\nwrite = ["public.*"]\n'
PERSON_SEALED = """
[columns."public.django_people_person.email"]
type = "varchar(254)"
search = ["equality"]
[columns."public.django_people_person.ssn"]
type = "text"
[columns."public.django_people_person.born"]
type = "date"
"""


@pytest.fixture
def site(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """An empty database behind a proxy that protects nothing yet."""
    database = make_database()
    database.psql(OWNER)
    shop = Shop(database, tmp_path_factory.mktemp("migrations"), columns=NOTHING_SEALED)
    shop.prepare()
    shop.serve()
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


def protect(shop: Shop, columns: str) -> None:
    """What an operator does to seal columns of a running system."""
    shop.columns = columns + NOTHING_SEALED
    shop.write_config()
    with shop.direct() as direct:
        # Django's index for LIKE, which no sealed column serves: `apply` says that it has to go.
        for (name,) in direct.execute(
            "SELECT indexname FROM pg_indexes WHERE indexname ~ '_email_.*_like$'"
        ).fetchall():
            direct.execute(f'DROP INDEX "{name}"')
    shop.sealgate("apply")
    shop.reload()


def migrate(*arguments: str) -> str:
    out = io.StringIO()
    call_command("migrate", "django_people", *arguments, stdout=out, verbosity=1)
    return out.getvalue()


def rows() -> list[tuple[Any, ...]]:
    return list(Person.objects.order_by("pk").values_list("pk", "email", "ssn", "born"))


@pytest.mark.parametrize("binding", [False, True], ids=["literals", "binding"])
@DJANGO.shows("migrations: DDL")
@DJANGO.shows("migrations: data")
def test_django_migrations(site: Shop, binding: bool) -> None:
    """CreateModel in clear, `apply` seals, then AddField, AlterField, RunPython, RunSQL, and back again."""
    with django_site.connected(site.dsn(), server_side_binding=binding):
        assert "0001_initial... OK" in migrate("0001")
        with connection.cursor() as cursor:
            for n in (1, 2, 3):
                cursor.execute(
                    "INSERT INTO django_people_person (name, email, ssn, born) VALUES (%s, %s, %s, %s)",
                    [person(n)[k] for k in ("name", "email", "ssn", "born")],
                )
        protect(site, PERSON_SEALED)
        before = rows()
        assert [row[1] for row in before] == [f"person{n}@quux.example" for n in (1, 2, 3)]
        assert "0003_initials... OK" in migrate()
        assert list(Person.objects.order_by("pk").values_list("initials", "nickname", "ssn")) == [
            ("perso", "ran", "555QX0001"),
            ("two", "nobody", "2"),
            ("perso", "nobody", "555QX0003"),
        ]
        team = Team.objects.create(title="t")
        team.members.set(Person.objects.filter(email="person3@quux.example"))
        assert team.members.get().born == person(3)["born"]
        Person.objects.create(name="new", email="new@quux.example", ssn="555-QX-n")
        assert "OK" in migrate("0001")
        assert [row[2] for row in rows()] == ["555-QX-back"] * 4
    with site.direct() as direct:
        stored = direct.execute("SELECT email, ssn FROM django_people_person").fetchall()
        assert all(value.startswith(b"\x5e\xa1\x01") for row in stored for value in row)
    log = site.database.postgres.log_text()
    assert "new@quux.example" not in log


@DJANGO.shows("catalog queries of its own")
def test_inspectdb(site: Shop) -> None:
    """`inspectdb` describes sealed columns as the types that applications see; UNIQUE is an index on terms."""
    with django_site.connected(site.dsn()):
        migrate("0001")
        before, after = io.StringIO(), io.StringIO()
        call_command("inspectdb", "django_people_person", stdout=before)
        protect(site, PERSON_SEALED)
        call_command("inspectdb", "django_people_person", stdout=after)
    assert "born = models.DateField" in before.getvalue()
    assert after.getvalue() == before.getvalue().replace("(unique=True, ", "(")
