"""A database behind a proxy that protects nothing at first: applications migrate it, operators seal columns."""

from __future__ import annotations

from typing import Final

from tests.integration.shop import Shop

NOTHING_SEALED: Final = '[roles.shop_app]\nclear = ["public.*"]\nwrite = ["public.*"]\n'


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
