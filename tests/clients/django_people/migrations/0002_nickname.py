"""After e-mail, number and birthday were sealed: a plain column is added, another altered, an index made."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (("django_people", "0001_initial"),)
    operations = (
        migrations.AddField(
            "Person", "nickname", models.CharField(max_length=40, default="nobody")
        ),
        migrations.AlterField("Person", "name", models.CharField(max_length=100)),
        migrations.AlterField(
            "Person", "nickname", models.CharField(max_length=80, default="nobody")
        ),
        migrations.AddIndex("Person", models.Index(fields=["nickname"], name="person_nickname")),
        migrations.AddConstraint(
            "Person",
            models.CheckConstraint(condition=~models.Q(name=""), name="person_has_a_name"),
        ),
    )
