"""Findings about who reaches what: SG04x roles and grants, SG05x what goes around the proxy. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from policy import Grant, Policy
from proxy.database.finding import Access, Elsewhere, Facts, Finding, error, info, listed, warning
from proxy.database.tables import TableFacts


def exposure(facts: Facts, policy: Policy) -> Iterator[Finding]:
    yield from _of_roles(facts.access, policy)
    yield from _of_grants(facts, policy)
    yield from _of_columns_without_readers(policy)
    yield from _of_logins_without_grants(facts.access, policy)
    yield from _of_powers(facts, policy)
    yield from _of_namesakes(facts.namesakes)
    yield from _of_publications(facts.tables)
    yield from _of_functions(facts.functions)


# -- SG04x: roles and grants --------------------------------------------------------------------------------------


def _of_roles(access: Access, policy: Policy) -> Iterator[Finding]:
    for role in sorted(policy.roles):
        if role not in access.existing:
            yield error(
                "SG040",
                f"roles.{role}",
                "there is no such role in PostgreSQL",
                f'CREATE ROLE "{role}", or correct the name.',
            )
        elif not access.logins.get(role):
            yield warning(
                "SG041",
                f"roles.{role}",
                "no login is this role or a member of it, so nobody can use its grants",
                f'GRANT "{role}" TO a login.',
            )
    for unused in policy.unused:
        yield warning(
            "SG044", unused, "this grant means no declared column", "Correct or remove it."
        )


def _of_grants(facts: Facts, policy: Policy) -> Iterator[Finding]:
    """Sealgate's grant without PostgreSQL's: it has no effect."""
    access, superusers = facts.access, set(facts.access.superusers)
    for role in sorted(access.existing & policy.roles.keys()):
        logins = set(access.logins.get(role, ()))
        if not logins or logins & superusers:
            continue
        for grants, able, privilege in (
            ((Grant.CLEAR, Grant.MASKED, Grant.SEARCH), access.readers, "SELECT"),
            ((Grant.WRITE,), access.writers, "INSERT or UPDATE"),
        ):
            useless = [
                column
                for column, holders in policy.holders.items()
                if column in able
                and any(role in holders[grant] for grant in grants)
                and not logins & able[column]
            ]
            if useless:
                yield warning(
                    "SG042",
                    f"roles.{role}",
                    f"it grants {', '.join(g.value for g in grants)} on {listed(useless)}, but no login that has the role"
                    f" has PostgreSQL's {privilege} there",
                    f'GRANT {privilege.replace(" or ", ", ")} ON the table TO "{role}", or remove the grant.',
                )


def _of_columns_without_readers(policy: Policy) -> Iterator[Finding]:
    for column, holders in sorted(policy.holders.items()):
        if not holders[Grant.CLEAR] and not holders[Grant.MASKED]:
            yield warning(
                "SG045", column, "no role may read it, not even masked", "Grant it to a role."
            )
        if not holders[Grant.WRITE]:
            yield info("SG046", column, "no role may write it", "Grant write if one should.")


def _of_logins_without_grants(access: Access, policy: Policy) -> Iterator[Finding]:
    granted = {login for role in policy.roles for login in access.logins.get(role, ())}
    outside: dict[tuple[str, ...], list[str]] = {}
    for column, readers in access.readers.items():
        logins = tuple(sorted(readers - granted))
        if logins:
            outside.setdefault(logins, []).append(column)
    for logins, columns in outside.items():
        yield info(
            "SG043",
            listed(logins),
            f"may SELECT {listed(columns)} in PostgreSQL, but has no role of the policy: the values are withheld",
            "Nothing, if that is meant; else grant a role.",
        )


# -- SG05x: around the proxy --------------------------------------------------------------------------------------


def _of_powers(facts: Facts, policy: Policy) -> Iterator[Finding]:
    access = facts.access
    granted = {login for role in policy.roles for login in access.logins.get(role, ())}
    for login in sorted(granted & set(access.superusers)):
        yield warning(
            "SG052",
            login,
            "it has grants and is a superuser: it may change types and CHECKs, and write plaintext then",
            "Let applications use logins that are not superusers.",
        )
    plain = sorted(set(access.superusers) - granted)
    if plain:
        yield info(
            "SG050",
            listed(plain),
            "superusers: they read only sealed values, but can drop the CHECKs that keep plaintext out",
            "Run `sealgate check` regularly: it sees that.",
        )
    for role in sorted({role for _, role in access.everywhere}):
        logins = sorted(login for login, held in access.everywhere if held == role)
        yield info(
            "SG051",
            listed(logins),
            f"has {role}: it reaches every table or the server's files, where it finds sealed values",
            "Keep it for those who need it.",
        )
    for subject, owners in sorted(access.owners.items()):
        owning = sorted(granted & set(owners) - set(access.superusers))
        if owning:
            yield info(
                "SG053",
                subject,
                f"{listed(owning)} {'have' if len(owning) > 1 else 'has'} grants and may act as its owner:"
                " an owner can change the column back to a plain type",
                "Let a login that no application uses own it.",
            )


def _of_namesakes(columns: Iterable[Elsewhere]) -> Iterator[Finding]:
    by_declared: dict[str, list[Elsewhere]] = {}
    for column in columns:
        by_declared.setdefault(column.of, []).append(column)
    for name, others in by_declared.items():
        kinds = {"m": " (materialized view)", "v": " (view)", "f": " (foreign table)"}
        places = [f"{c.label}{kinds.get(c.kind, '')}" for c in others]
        yield info(
            "SG054",
            name,
            f"columns of the same name and kind are not sealed: {listed(places)}",
            "Declare them too if they hold the same data.",
        )


def _of_publications(tables: Mapping[str, TableFacts]) -> Iterator[Finding]:
    for table in tables.values():
        if table.publications and any(c.sealed for c in table.columns):
            yield info(
                "SG055",
                table.label,
                f"it is published by {listed(table.publications)}: subscribers get sealed values",
                "Create schema sealgate and the sealed types there too; check that no old plaintext rows are left there.",
            )


def _of_functions(functions: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    for name, named in functions.items():
        yield info(
            "SG056",
            name,
            f"functions name it: {listed(named)}; they run in the server, where the value is sealed",
            "See that they only copy it, or let the application do what they do with it.",
        )
