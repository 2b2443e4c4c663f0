"""The models as the last migration leaves them."""

from __future__ import annotations

from django.db import models


class Person(models.Model):
    name = models.CharField(max_length=100)
    email = models.EmailField(unique=True, null=True)
    ssn = models.TextField(blank=True, default="")
    born = models.DateField(null=True)
    nickname = models.CharField(max_length=80, default="nobody")
    initials = models.CharField(max_length=5, null=True)

    class Meta:
        app_label = "django_people"


class Team(models.Model):
    title = models.CharField(max_length=50)
    members = models.ManyToManyField(Person, related_name="teams")

    class Meta:
        app_label = "django_people"
