"""Django set up without a project: one database, whose address each script sets."""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import Iterator
from typing import Any

import django
from django.conf import settings
from django.db import connections

settings.configure(
    DATABASES={
        "default": {"ENGINE": "django.db.backends.postgresql", "NAME": "set by each script"}
    },
    INSTALLED_APPS=["tests.clients.django_accounts", "tests.clients.django_people"],
    USE_TZ=True,
)
django.setup()


@contextlib.contextmanager
def connected(dsn: str, **options: Any) -> Iterator[Any]:
    """The default connection leads to `dsn`."""
    parts = urllib.parse.urlsplit(dsn)
    described = connections.settings["default"]
    before = dict(described)
    described.update(
        HOST=parts.hostname,
        PORT=parts.port,
        USER=parts.username,
        NAME=parts.path[1:],
        OPTIONS=options,
    )
    try:
        yield connections["default"]
    finally:
        connections["default"].close()
        del connections["default"]  # the next one is made by what `described` says then
        described.update(before)
