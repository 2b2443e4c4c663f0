"""docs/clients.md: its tables and code come from the tests. `python -m tests.clients.page` writes them anew."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.clients.forms import FORMS, Form
from tests.clients.matrix import Client, settings, table

PAGE: Final = Path(__file__).parents[2] / "docs" / "clients.md"
MODULES: Final = (
    "psycopg3",
    "psycopg2",
    "asyncpg",
    "pg8000",
    "sqlalchemy",
    "django",
    "django_migrations",
    "alembic",
)
_BLOCK: Final = re.compile(r"(<!-- from the tests: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def clients() -> list[Client]:
    """Every client, in the order of the page."""
    modules = [import_module(f"tests.clients.test_{name}") for name in MODULES]
    return [module.CLIENT for module in modules if hasattr(module, "CLIENT")]


def blocks() -> dict[str, str]:
    site = Path(__file__).parent / "alembic_site"
    return {
        "abilities": table(clients()),
        "settings": settings(clients()),
        "forms": forms(),
        "alembic": f"```python\n{(site / 'hooks.py').read_text().strip()}\n```",
        "reflection": f"```python\n{(site / 'reflection.py').read_text().strip()}\n```",
    }


def forms() -> str:
    """Markdown: the SQL that clients make of sealed columns, and what becomes of it."""
    rows = [["made by", "SQL", "through Sealgate"], ["---"] * 3]
    rows += [[form.origin, f"`{form.sql}`".replace("|", "\\|"), outcome(form)] for form in FORMS]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def outcome(form: Form) -> str:
    return f"refused ({form.refused})" if form.refused else "same"


def rendered(page: str) -> str:
    """The page with every marked block as the tests have it."""
    made = blocks()
    return _BLOCK.sub(lambda found: f"{found[1]}{made[found[2]]}\n{found[3]}", page)


def versions() -> str:
    return ", ".join(f"{client.package} {version(client.package)}" for client in clients())


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text()))
    print(versions())
