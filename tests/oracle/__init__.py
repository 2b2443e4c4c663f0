"""The reading of SQL against PostgreSQL's own, over PostgreSQL's own SQL.

`scripts` cuts psql scripts into statements, `corpora` says where thousands of them come from (an
installed package, the running server's catalog, a source distribution that the long tests fetch),
`seen` asks the server which tables and columns it found in a statement. None of that SQL is
committed. `python -m tests.oracle` prints what the tests here assert floors of.
"""
