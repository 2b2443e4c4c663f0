"""`account` and `visit` of the twins."""

from __future__ import annotations

from typing import Any

from django.db import models

from tests.clients.people import COLUMNS


class Account(models.Model):
    id = models.AutoField(primary_key=True)
    name = models.TextField()
    email = models.CharField(max_length=120, unique=True, null=True)
    ssn = models.TextField(null=True)
    born = models.DateField(null=True)
    visits = models.IntegerField(null=True)
    balance = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    profile = models.JSONField(null=True)
    photo = models.BinaryField(null=True)
    note = models.TextField(null=True, db_default="none")

    class Meta:
        app_label = "django_accounts"
        db_table = "account"

    def values(self) -> tuple[Any, ...]:
        return (self.pk, self.note, *(getattr(self, name) for name in COLUMNS))


class Contact(models.Model):
    """Part of `account`: without a JSONField, Django inserts many rows through UNNEST."""

    name = models.TextField()
    email = models.CharField(max_length=120, unique=True, null=True)
    ssn = models.TextField(null=True)
    born = models.DateField(null=True)
    visits = models.IntegerField(null=True)
    balance = models.DecimalField(max_digits=12, decimal_places=2, null=True)

    class Meta:
        app_label = "django_accounts"
        db_table = "account"

    def values(self) -> tuple[Any, ...]:
        return (self.pk, self.name, self.email, self.ssn, self.born, self.visits, self.balance)


class Visit(models.Model):
    id = models.AutoField(primary_key=True)
    account = models.ForeignKey(
        Account, models.CASCADE, null=True, db_column="account", related_name="seen"
    )
    place = models.TextField()
    detail = models.JSONField(null=True)

    class Meta:
        app_label = "django_accounts"
        db_table = "visit"
