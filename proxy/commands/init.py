"""`sealgate init`: the root key and the keystore, once. Refuses to overwrite either."""

from __future__ import annotations

import argparse
from pathlib import Path

import keystore
from proxy.audit.event import keys_created
from proxy.audit.operator import operator
from proxy.commands.errors import CommandRefused
from proxy.commands.output import aligned, say_json
from proxy.commands.recorded import tell
from proxy.config import Configuration, load


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="what was created, as JSON")


def run(options: argparse.Namespace) -> int:
    configuration = load(options.config)
    root_key_file = _root_key_file(configuration)
    # Both are looked at before either is written, so that a refusal leaves nothing behind.
    for path in (root_key_file, configuration.keystore.path):
        if path is not None and path.exists():
            raise CommandRefused(
                f"{path} exists and is not overwritten. What was sealed under it is lost without it: "
                "move it away yourself if you are sure."
            )
    if root_key_file is not None:
        keystore.create_root_key(root_key_file)
    root_key = keystore.load_root_key(configuration.keystore.root_key)
    keystore.create(
        configuration.keystore.path, root_key, configuration.columns, configuration.search_groups
    )
    place = str(configuration.keystore.path)
    tell(configuration, keys_created(place, sorted(configuration.columns), operator()))
    _report(configuration, root_key_file, options.json)
    return 0


def _root_key_file(configuration: Configuration) -> Path | None:
    path = configuration.keystore.root_key.path
    return None if path is None else Path(path)


def _report(configuration: Configuration, root_key_file: Path | None, as_json: bool) -> None:
    columns = sorted(configuration.columns)
    if as_json:
        created = {
            "root_key": None if root_key_file is None else str(root_key_file),
            "keystore": str(configuration.keystore.path),
            "columns": columns,
        }
        return say_json(created)
    source = configuration.keystore.root_key
    root = (
        f"{root_key_file} (mode 0600)" if root_key_file else f"environment variable {source.name}"
    )
    print("Created:" if root_key_file else "Created with a root key from the environment:")
    print(aligned([("root key", root), ("keystore", str(configuration.keystore.path))]))
    print(f"Keys for {len(columns)} columns:")
    print(aligned([(column,) for column in columns]))
    print("Back up both, apart from each other: sealed values cannot be read without them.")
    print("Next: sealgate apply --dry-run")
    return None
