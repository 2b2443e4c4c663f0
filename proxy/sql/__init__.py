"""What a statement does with sealed columns, found out from its text.

Reading order:

    lexer, literals   PostgreSQL's scanner
    stripped          text without its literals, and the short way to it
    parse, hardening  sqlglot's parser on our tokens, freed of what misreads PostgreSQL
    crosscheck        libpg_query must see the same (`reading`, `postgres_reading`, `sqlglot_reading`)
    plan              the result, as data
    planner           text to plan, cached; `rows` for long lists
    message           the stages of planning one message; `commands` for what is neither query nor write
    analysis          one query or write: `draft` keeps the accounts, `scope` knows the names
    resolve, sources, ordering, writes          queries, FROM, ORDER BY and the like, INSERT UPDATE DELETE
    expressions, comparisons, assignment        what may be done with a sealed column, and to it
    patterns          LIKE: by grams, or by order
    lists, subqueries, merge, cases             values beside tables, queries that are compared, MERGE, casts of CASE
    columns, tree, values, refusals             references, nodes, constants, reasons
    rewrite           a plan applied to a message, and positions back
"""
