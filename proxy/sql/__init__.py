"""What a statement does with sealed columns, found out from its text.

Reading order: `lexer` (PostgreSQL's scanner; `literals` holds the grammar of literals), `parse`
(sqlglot's parser, hardened, on our tokens), `crosscheck` (libpg_query must see the same), `resolve`
(which name is which column), `plan` (the result, as data), `planner` (all of it, cached), `rewrite`
(a plan applied to a message).
"""
