"""The SQL that ORMs and people make of a sealed column, statement by statement: supported, or refused and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tests.clients.people import person


@dataclass(frozen=True, slots=True)
class Form:
    """One statement over `account`, `%s` for parameters."""

    origin: str
    sql: str
    parameters: tuple[Any, ...] = ()
    refused: str = ""
    """Why it must be; empty: it does what it does on a plain column."""


EMAIL: Final = person(3)["email"]
ANY_FORM: Final = ("person3@quux.example", "nobody@quux.example")

_SEARCH: Final = "no such search declared"
_CASE: Final = "no equality:casefold declared"
_ORDER: Final = "no order declared"
_VALUE: Final = "needs the value inside the server"

FORMS: Final = (
    Form("every client", "SELECT id FROM account WHERE email = %s", (EMAIL,)),
    Form("every client", "SELECT id FROM account WHERE email = 'person3@quux.example'"),
    Form("SQLAlchemy", "SELECT id FROM account WHERE account.email = %s::VARCHAR", (EMAIL,)),
    Form("people", "SELECT id FROM account WHERE email = CAST(%s AS varchar(120))", (EMAIL,)),
    Form("people", "SELECT id FROM account WHERE email::text = %s", (EMAIL,)),
    Form("CipherStash users", 'SELECT id FROM account WHERE "email"::text = %s::varchar', (EMAIL,)),
    Form(
        "SQLAlchemy in_()",
        "SELECT id FROM account WHERE email IN (%s::VARCHAR, %s::VARCHAR) ORDER BY id",
        ANY_FORM,
    ),
    Form(
        "SQLAlchemy not_in()",
        "SELECT id FROM account WHERE (email NOT IN (%s, %s)) ORDER BY id",
        ANY_FORM,
    ),
    Form(
        "asyncpg, pgx",
        "SELECT id FROM account WHERE email = ANY(%s) ORDER BY id",
        (list(ANY_FORM),),
    ),
    Form("people", "SELECT id FROM account WHERE email <> ALL(%s) ORDER BY id", (list(ANY_FORM),)),
    Form(
        "Django exclude()",
        "SELECT id FROM account WHERE NOT (email = %s AND email IS NOT NULL) ORDER BY id",
        (EMAIL,),
    ),
    Form(
        "SQLAlchemy is_distinct_from()",
        "SELECT id FROM account WHERE email IS DISTINCT FROM %s::VARCHAR ORDER BY id",
        (EMAIL,),
    ),
    Form("Hibernate, Rails", "SELECT 1 AS one FROM account WHERE email = %s LIMIT 1", (EMAIL,)),
    Form(
        "self join",
        "SELECT a.id FROM account a JOIN account b ON a.email = b.email WHERE b.email = %s",
        (EMAIL,),
    ),
    Form(
        "SQLAlchemy in_(select())",
        "SELECT id FROM account WHERE email IN (SELECT account.email FROM account WHERE id = 2)",
    ),
    Form(
        "Django Exists()",
        "SELECT EXISTS (SELECT 1 AS a FROM account u WHERE u.email = %s LIMIT 1) AS found",
        (EMAIL,),
    ),
    Form(
        "Django Case/When",
        "SELECT id, CASE WHEN email = %s THEN 'yes' ELSE 'no' END FROM account ORDER BY id",
        (EMAIL,),
    ),
    Form(
        "SQLAlchemy Query.count()",
        "SELECT count(*) AS count_1 FROM (SELECT account.id, account.email, account.ssn FROM account WHERE account.email = %s) AS anon_1",
        (EMAIL,),
    ),
    Form("people", "SELECT coalesce(email, %s) FROM account WHERE id = 1", ("x@quux.example",)),
    Form(
        "Django annotate(Count())",
        "SELECT a.id, a.email, count(v.id) FROM account a LEFT JOIN visit v ON v.account = a.id GROUP BY a.id, a.email ORDER BY a.id",
    ),
    Form(
        "Django annotate(Count())",
        "SELECT a.id, a.email, count(v.id) FROM account a LEFT JOIN visit v ON v.account = a.id GROUP BY a.id ORDER BY a.id",
    ),
    Form(
        "Django bulk_update()",
        "UPDATE account SET ssn = (CASE WHEN (account.id = 1) THEN 'a' WHEN (account.id = 2) THEN 'b' ELSE NULL END)::text WHERE account.id IN (1, 2)",
    ),
    Form(
        "Django bulk_create()",
        "INSERT INTO account (name, email) SELECT * FROM UNNEST((%s)::text[], (%s)::varchar[]) RETURNING account.id",
        (["a", "b"], ["a@quux.example", None]),
    ),
    Form(
        "SQLAlchemy insertmanyvalues",
        "INSERT INTO account (name, email, born) SELECT p0::VARCHAR, p1::VARCHAR, p2::DATE FROM (VALUES (%s::VARCHAR, %s::VARCHAR, %s::DATE, 0), (%s::VARCHAR, %s::VARCHAR, %s::DATE, 1)) AS imp_sen(p0, p1, p2, sen_counter) ORDER BY sen_counter RETURNING account.id, account.email",
        ("a", "a@quux.example", "2001-02-03", "b", None, None),
    ),
    Form(
        "psycopg 2 execute_values",
        "UPDATE account SET ssn = d.ssn FROM (VALUES (1, 'a'), (2, 'b')) AS d (id, ssn) WHERE d.id = account.id",
    ),
    Form(
        "people",
        "WITH moved AS (DELETE FROM account WHERE email = %s RETURNING name, email, ssn) INSERT INTO account (name, email, ssn) SELECT name, email, ssn FROM moved RETURNING id, email",
        (EMAIL,),
    ),
    Form("people", "SELECT DISTINCT ON (id) id, email FROM account ORDER BY id"),
    Form("people", "SELECT a FROM account a WHERE id = 1", (), "rows as one value"),
    Form("people", "SELECT row_to_json(a) FROM account a WHERE id = 1", (), "rows as one value"),
    Form("people", "SELECT array_agg(email ORDER BY id) FROM account", (), _VALUE),
    Form(
        "Django iexact",
        "SELECT id FROM account WHERE UPPER(email::text) = UPPER(%s)",
        (EMAIL,),
        _CASE,
    ),
    Form(
        "SQLAlchemy func.lower()",
        "SELECT id FROM account WHERE lower(account.email) = %s::VARCHAR",
        (EMAIL,),
        _CASE,
    ),
    Form(
        "Django startswith",
        "SELECT id FROM account WHERE email::text LIKE %s",
        ("person3%",),
        _SEARCH,
    ),
    Form(
        "SQLAlchemy ilike()",
        "SELECT id FROM account WHERE account.email ILIKE %s::VARCHAR",
        ("person3%",),
        _SEARCH,
    ),
    Form("people", "SELECT id FROM account WHERE email > %s", (EMAIL,), _SEARCH),
    Form("people", "SELECT id FROM account WHERE ssn = %s", ("555-QX-0001",), "no search declared"),
    Form("admin lists", "SELECT id FROM account ORDER BY email", (), _ORDER),
    Form("Django distinct()", "SELECT DISTINCT email FROM account"),
    Form("Django values().annotate()", "SELECT email, count(id) FROM account GROUP BY email"),
    Form("people", "SELECT count(DISTINCT email) FROM account"),
    Form("Django aggregate(Max())", "SELECT max(born), sum(balance) FROM account", (), _VALUE),
    Form("Django F()", "UPDATE account SET visits = account.visits + 1 WHERE id = 1", (), _VALUE),
    Form(
        "Django JSONField",
        "SELECT id FROM account WHERE (profile -> 'town') = '\"Kwyjibo\"'::jsonb",
        (),
        _VALUE,
    ),
    Form("people", "SELECT name || email FROM account", (), _VALUE),
    Form("people", "SELECT length(photo) FROM account", (), _VALUE),
    Form(
        "people",
        "UPDATE account SET ssn = name",
        (),
        "a plain value cannot be sealed inside the server",
    ),
)
