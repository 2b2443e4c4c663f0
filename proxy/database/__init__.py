"""Schema `sealgate` and the sealed columns in a database: `apply` brings it in line, `check` says what is not.

Reading order: schema (what we create), tables (facts), look [io] (reads them), obstacles (what forbids sealing), steps
(what sealing takes), sealing [io] (the rows), apply [io], report; finding (facts), findings and exposure (judgements), check [io].
"""
