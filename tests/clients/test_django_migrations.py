"""Django's migrations and `inspectdb` through the proxy, before and after columns are sealed."""

from __future__ import annotations

import io
from typing import Any

from django.core.management import call_command
from django.db import connection

from tests.clients import django_site  # isort: split  # sets Django up
from tests.clients.django_people.models import Person, Team
from tests.clients.migrating import protect
from tests.clients.people import person
from tests.clients.test_django import CLIENT as DJANGO
from tests.integration.shop import Shop

PERSON_SEALED = """
[columns."public.django_people_person.email"]
type = "varchar(254)"
search = ["equality"]
[columns."public.django_people_person.ssn"]
type = "text"
[columns."public.django_people_person.born"]
type = "date"
"""


def migrate(*arguments: str) -> str:
    out = io.StringIO()
    call_command("migrate", "django_people", *arguments, stdout=out, verbosity=1)
    return out.getvalue()


def rows() -> list[tuple[Any, ...]]:
    return list(Person.objects.order_by("pk").values_list("pk", "email", "ssn", "born"))


def inspectdb() -> str:
    out = io.StringIO()
    call_command("inspectdb", "django_people_person", stdout=out)
    return out.getvalue()


@DJANGO.shows("migrations: DDL")
@DJANGO.shows("migrations: data")
def test_migrate_seal_migrate_on_and_back(site: Shop) -> None:
    """CreateModel in clear, `apply` seals, then AddField, AlterField, RunPython, RunSQL, and back again.

    `inspectdb` describes the sealed columns as before; UNIQUE has become an index on terms, which it does not show.
    """
    with django_site.connected(site.dsn()):
        assert "0001_initial... OK" in migrate("0001")
        with connection.cursor() as cursor:
            for n in (1, 2, 3):
                cursor.execute(
                    "INSERT INTO django_people_person (name, email, ssn, born) VALUES (%s, %s, %s, %s)",
                    [person(n)[k] for k in ("name", "email", "ssn", "born")],
                )
        before = inspectdb()
        assert "born = models.DateField" in before
        protect(site, PERSON_SEALED)
        assert inspectdb() == before.replace("(unique=True, ", "(")
        assert [row[1] for row in rows()] == [f"person{n}@quux.example" for n in (1, 2, 3)]
        assert "0003_initials... OK" in migrate()
        assert list(Person.objects.order_by("pk").values_list("initials", "nickname", "ssn")) == [
            ("perso", "ran", "555QX0001"),
            ("two", "nobody", "2"),
            ("perso", "nobody", "555QX0003"),
        ]
        team = Team.objects.create(title="t")
        team.members.set(Person.objects.filter(email="person3@quux.example"))
        assert team.members.get().born == person(3)["born"]
        Person.objects.create(name="new", email="migrated@quux.example", ssn="555-QX-n")
        assert "OK" in migrate("0001")
        assert [row[2] for row in rows()] == ["555-QX-back"] * 4
    with site.direct() as direct:
        stored = direct.execute("SELECT email, ssn FROM django_people_person").fetchall()
        assert all(value.startswith(b"\x5e\xa1\x01") for row in stored for value in row)
    assert "migrated@quux.example" not in site.database.postgres.log_text()
