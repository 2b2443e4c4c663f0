"""`sealgate demo`: runs the steps, stops at the first that does not hold, and leaves nothing behind."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

from proxy.commands.errors import CommandRefused
from proxy.demo.page import Page
from proxy.demo.shop import ANALYST, APPLICATION, DATABASE, OWNER, SUPPORT, Shop

LOOK = "SELECT * FROM customers"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keep",
        action="store_true",
        help="stay up afterwards, and print psql lines to connect with",
    )
    parser.add_argument(
        "--dir",
        type=Path,
        metavar="DIR",
        help="keep configuration, keys, logs and data there (default: a temporary directory)",
    )


def run(options: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, _end)  # also in the middle: no server is left behind
    directory = _directory(options.dir)
    page = Page(sys.stdout)
    shop = Shop.in_directory(directory)
    try:
        held = _tour(shop, page, keep=options.keep)
        if held and options.keep:
            _stay(shop, page)
        return 0 if held else 1
    finally:
        shop.close()
        if options.dir is None:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            page.line(f"Everything is in {directory}")


def _end(number: int, frame: object) -> None:
    sys.exit(128 + number)


def _directory(asked: Path | None) -> Path:
    if asked is None:
        directory = Path(tempfile.mkdtemp(prefix="sealgate-demo-"))
        directory.chmod(
            0o711
        )  # the server runs as another user when we are root; it must get through
        return directory
    if asked.exists() and any(asked.iterdir()):
        raise CommandRefused(f"{asked} is not empty. Name a directory that is, or a new one.")
    return asked.absolute()


def _tour(shop: Shop, page: Page, *, keep: bool) -> bool:
    try:
        from proxy.demo.steps import STEPS
    except ImportError as error:
        raise CommandRefused(f"the demo needs {error.name}: pip install 'sealgate[demo]'") from None
    page.title("Sealgate: a tour. Real PostgreSQL, real clients, every step asserted.")
    for number, (title, step) in enumerate(STEPS, 1):
        page.step(number, title)
        try:
            step(shop, page)
        except Exception as error:
            page.failed(f"{type(error).__name__}: {error}")
            page.line()
            _say_last_words(shop, page)
            page.line(f"Step {number} did not hold: {title}")
            return False
        page.done()
    page.line()
    page.line(f"All {len(STEPS)} steps held.")
    return True


def _say_last_words(shop: Shop, page: Page) -> None:
    if shop.proxy_log.exists():
        page.line("The proxy's last words:")
        for line in shop.proxy_log.read_text(errors="replace").splitlines()[-5:]:
            page.line(f"     {line}")


def _stay(shop: Shop, page: Page) -> None:
    """Serves until Ctrl-C or SIGTERM."""
    shop.postgres.start()
    shop.serve()
    psql = shutil.which("psql") or str(shop.postgres.bin / "psql")
    page.line()
    page.line("Through the proxy:")
    for login in (APPLICATION, SUPPORT, ANALYST):
        page.line(f"  {psql} '{shop.through(login)}' -c '{LOOK}'")
    page.line("Straight to the database:")
    page.line(f"  {psql} '{shop.direct(OWNER)}' -c '{LOOK}'")
    page.line(f"Configuration, keys and access log ({DATABASE}): {shop.directory}")
    page.line("Ctrl-C ends it.")
    ended = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: ended.set())
    ended.wait()
