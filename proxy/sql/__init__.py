"""What a statement does with sealed columns, found out from its text.

Reading order: `lexer` (PostgreSQL's scanner; `literals` holds the grammar of literals), `parse`
(sqlglot's parser on our tokens; `hardening` takes out of it what misreads PostgreSQL), `crosscheck`
(libpg_query must have seen the same: `reading` is what is compared, `postgres_reading` and
`sqlglot_reading` bring the two trees to it), `resolve` (which name is which column), `plan` (the
result, as data), `planner` (all of it, cached), `rewrite` (a plan applied to a message).
"""
