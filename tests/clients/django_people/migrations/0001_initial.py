"""As `makemigrations` writes it."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            "Person",
            [
                ("id", models.AutoField(primary_key=True)),
                ("name", models.CharField(max_length=80)),
                ("email", models.EmailField(max_length=254, unique=True, null=True)),
                ("ssn", models.TextField(blank=True, default="")),
                ("born", models.DateField(null=True)),
            ],
        ),
        migrations.CreateModel(
            "Team",
            [
                ("id", models.AutoField(primary_key=True)),
                ("title", models.CharField(max_length=50)),
                ("members", models.ManyToManyField("django_people.Person", related_name="teams")),
            ],
        ),
    )
