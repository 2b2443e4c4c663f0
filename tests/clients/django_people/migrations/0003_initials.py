"""DDL and data in one transaction: a column is added, filled from sealed ones, and another renamed twice."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models


def fill(apps: Any, schema_editor: Any) -> None:
    people = apps.get_model("django_people", "Person").objects.using(schema_editor.connection.alias)
    for person in people.order_by("pk"):
        person.initials = (person.email or "?")[:5]
        person.ssn = person.ssn.replace("-", "")
        person.save()
    people.filter(email="person2@quux.example").update(initials="two", ssn="2")


def unfill(apps: Any, schema_editor: Any) -> None:
    people = apps.get_model("django_people", "Person").objects.using(schema_editor.connection.alias)
    people.update(ssn="555-QX-back")


class Migration(migrations.Migration):
    dependencies = (("django_people", "0002_nickname"),)
    operations = (
        migrations.AddField("Person", "initials", models.CharField(max_length=5, null=True)),
        migrations.RunPython(fill, unfill),
        migrations.RenameField("Person", "nickname", "handle"),
        migrations.RenameField("Person", "handle", "nickname"),
        migrations.RunSQL(
            "UPDATE django_people_person SET nickname = 'ran' WHERE email = 'person1@quux.example'",
            migrations.RunSQL.noop,
        ),
    )
