"""`python -m tests.oracle fetch` brings PostgreSQL's regression tests; `... counts [SEED]` prints what
the long tests assert floors of."""

from __future__ import annotations

import random
import sys

from proxy.embedded import EmbeddedPostgres
from tests.oracle import corpora
from tests.oracle.census import run
from tests.oracle.readings import readings
from tests.oracle.test_nothing_missed import scripts


def main(arguments: list[str]) -> int:
    try:
        archive = corpora.fetch()
    except corpora.NoCorpus as reason:
        print(reason, file=sys.stderr)
        return 1
    print(f"{archive.name}: {len(corpora.regression())} statements")
    if arguments[:1] == ["counts"]:
        _count(int(arguments[1]) if len(arguments) > 1 else random.randrange(1 << 32))
    return 0


def _count(seed: int) -> None:
    print("Queries and writes, by how the two parsers read them:")
    for (word, outcome), count in sorted(readings(corpora.regression()).items()):
        print(f"  {word:8}{outcome:18}{count:7}")
    with EmbeddedPostgres(settings={"log_min_messages": "panic"}) as postgres:
        dsn = postgres.dsn("postgres")
        census = run(dsn, scripts(corpora.regression()), random.Random(seed), every=True)
    print(
        f"Statements in which the server sees a user's relation: {census.statements} (seed {seed})"
    )
    print("Each column that one of them uses, sealed:")
    for verdict, count in census.verdicts.most_common():
        print(f"  {verdict.value:40}{count:7}")
    print(f"  {'in no result and no condition of the plan':40}{census.dead:7}")
    print(f"Texts that were changed and compared as trees: {census.rewritten}")
    print("Refusals:")
    for reason, count in census.refusals.most_common():
        print(f"  {count:7}  {reason}")
    print("The same statements, with a column sealed that they do not use:")
    for outcome, count in census.unused.most_common():
        print(f"  {count:7}  {outcome}")
    for what, column, sql in census.missed:
        print(f"MISSED {what}: {column}\n{sql}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
