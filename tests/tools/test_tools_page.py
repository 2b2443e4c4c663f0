"""docs/tools.md: its commands, pasted in order, do what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.conftest import Database
from tests.integration.shop import COLUMNS, Shop
from tests.tools.programs import DBA, Stage

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tools.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


def shop_of(database: Database, directory: Path, keys: Path) -> Shop:
    """A configuration for one more database, with the keystore and the root key in `keys`."""
    directory.mkdir()
    shop = Shop(database, directory, COLUMNS + DBA)
    shop.write_config()
    text = shop.config.read_text()
    for name in ("keystore.json", "root.key"):
        text = text.replace(f'"{name}"', f'"{keys / name}"')
    shop.config.write_text(text)
    return shop


def test_the_commands_of_the_page(
    stage: Stage, make_database: Callable[[], Database], tmp_path: Path
) -> None:
    """Backup, clear dump, another database under other keys, a masked copy."""
    copy, new, plain = (make_database() for _ in range(3))
    plain.psql(stage.unsealed("postgres").done("pg_dump", "-s", "-t", "customers"))
    copied = shop_of(copy, tmp_path / "copy", stage.shop.directory)
    renewed = shop_of(new, tmp_path / "new", tmp_path / "new")
    for name, shop in (("copy", copied), ("new", renewed), ("sealgate", stage.shop)):
        (tmp_path / f"{name}.toml").symlink_to(shop.config)
    environment = {
        **stage.direct("postgres").environment(),
        "SERVER": stage.shop.database.dsn(),
        "PROXY": stage.shop.dsn("backup"),
        "AS_SUPPORT": stage.shop.dsn("support_login"),
        "COPY": copy.dsn(),
        "NEW_SERVER": new.dsn(),
        "NEW_PROXY": renewed.dsn("shop_owner"),
        "PLAIN": plain.dsn(),
    }
    sealgate = f'sealgate() {{ (cd "{ROOT}" && "{sys.executable}" -m proxy "${{@/#/}}"); }}\n'
    for block in BLOCKS:
        if block.startswith("sealgate serve"):
            renewed.serve()
            continue
        command = re.sub(r"--config (\w+)\.toml", rf"--config {tmp_path}/\1.toml", block)
        done = subprocess.run(
            ["bash", "-c", "set -euo pipefail\n" + sealgate + command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, (block, done.stdout, done.stderr)
        assert "ERROR" not in done.stderr
    rows = "SELECT email, ssn FROM customers WHERE id = 1"
    clear = "ada@example.com|123-45-6789\n"
    assert "ada@example.com" in (tmp_path / "clear.sql").read_text()
    assert stage.direct("postgres", plain.name).done("psql", "-XAtc", rows) == "ada@example.com|*******6789\n"  # fmt: skip
    assert Stage(renewed, plain).proxied().done("psql", "-XAtc", rows) == clear
    sealed = [stage.direct("postgres", d.name).done("psql", "-XAtc", rows) for d in (stage.shop.database, copy, new)]  # fmt: skip
    assert sealed[0] == sealed[1] != sealed[2]
    copied.serve()
    assert Stage(copied, plain).proxied().done("psql", "-XAtc", rows) == clear
    for shop in (copied, renewed):
        shop.stop()
    for database in (copy, new, plain):
        database.postgres.drop_database(database.name)


def test_the_page_shows_every_block_as_a_command() -> None:
    """No block is left out above: each names a program that the tests run."""
    assert len(BLOCKS) == 8
    for block in BLOCKS:
        assert re.match(r"(pg_dump|sealgate) ", block)
