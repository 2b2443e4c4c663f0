"""A newer key version is added: new values are sealed under it, old ones still open, equality still finds both."""

from __future__ import annotations

from keystore import RootKeySource, add_version, load, load_root_key
from tests.integration.shop import Shop


def test_a_newer_version_beside_the_old_one(shop: Shop) -> None:
    """Rotation without touching a row: SIGHUP is enough, for open sessions too."""
    root_key = load_root_key(RootKeySource("file", shop.directory / "root.key"))
    path = shop.directory / "keystore.json"
    with shop.connect() as app:
        app.execute("INSERT INTO customers (name, email) VALUES ('Old', 'old@example.com')")
        assert add_version(path, root_key, "public.customers.email") == 2
        shop.reload()
        app.execute("INSERT INTO customers (name, email) VALUES ('New', 'new@example.com')")
        rows = app.execute(
            "SELECT name FROM customers WHERE email IN ('old@example.com', 'new@example.com') ORDER BY id"
        ).fetchall()
        assert rows == [("Old",), ("New",)]
        emails = app.execute(
            "SELECT email FROM customers WHERE name IN ('Old', 'New') ORDER BY id"
        ).fetchall()
        assert emails == [("old@example.com",), ("new@example.com",)]
    with shop.direct() as direct:
        stored = direct.execute(
            "SELECT email FROM customers WHERE name IN ('Old', 'New') ORDER BY id"
        ).fetchall()
    keys = load(path, root_key).data_keys
    versions = [keys[int.from_bytes(value[4:8])].version for (value,) in stored]
    assert versions == [1, 2]
    read = next(
        e for e in reversed(shop.events()) if e["metadata"]["event_code"] == "statement.read"
    )
    (column,) = read["unmapped"]["sealgate"]["columns"]
    assert column["key_versions"] == [1, 2]


def test_a_keystore_that_was_altered_is_not_loaded(shop: Shop) -> None:
    """All or nothing: the running proxy keeps the keys it has, and says why in its log."""
    path = shop.directory / "keystore.json"
    original = path.read_bytes()
    with shop.connect() as app:
        try:
            path.write_bytes(original.replace(b"public.customers.ssn", b"public.customers.xyz"))
            shop.refused_reload()
            assert app.execute("SELECT ssn FROM customers WHERE id = 1").fetchone() == (
                "123-45-6789",
            )
        finally:
            path.write_bytes(original)
        shop.reload()
        assert app.execute("SELECT ssn FROM customers WHERE id = 1").fetchone() == ("123-45-6789",)
