"""Schema `sealgate` and the sealed columns in a database: `apply` brings it in line, `check` says what is not.

Reading order: schema (what we create), tables (facts), terms (search terms as the database sees them), look [io] (reads the facts),
obstacles (what forbids sealing), steps (what it takes), sealing [io] (plain rows), deriving [io] (other terms for sealed rows),
indexing [io], history (where values stood that are gone), keeping [io] (its facts), apply [io], report; finding (facts), leakage (numbers), findings, searching, exposure and whose (judgements), check [io].
"""
