"""Brings the database in line with the configuration. Idempotent. [io: asyncpg]

All facts are read and judged first; one obstacle anywhere and nothing at all is changed. Then the schema is brought
in line in a transaction of its own. Plain columns are sealed table by table, each in one transaction, in which its facts are read
and judged again under the lock. A table that is refused then, or is busy, is left as it was; the others are not taken back.

What is left, terms and indexes, is done while everybody works, in an order that is never wrong for a proxy:
the server's word for terms that are to change is taken back, rows get the terms that are declared, indexes are
made, and the server's word is had for the new ones. It may be broken off anywhere; the next run goes on from there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import asyncpg

from keystore import Keyset, KeystoreError
from proxy.catalog import SCHEMA, Declaration, SealedColumn, sealed_columns
from proxy.database import history, obstacles, schema
from proxy.database.deriving import assure, derive_terms, forbid, recede, withdraw
from proxy.database.forecast import forecast
from proxy.database.indexing import create_index, drop_index, free_name, unhurried
from proxy.database.keeping import (
    change,
    drop_triggers,
    forgotten,
    history_facts,
)
from proxy.database.keeping import run as run_changes
from proxy.database.look import fixed_names, role_facts, schema_facts, table_facts
from proxy.database.obstacles import Obstacle
from proxy.database.report import ApplyReport, ColumnReport, TableReport
from proxy.database.sealing import (
    CannotSeal,
    Progress,
    Report,
    TableBusy,
    lock,
    recreate_index,
    seal_rows,
)
from proxy.database.steps import Action, TableSteps, qualified, steps_for
from proxy.database.tables import RoleFacts, TableFacts
from proxy.database.terms import flags
from proxy.disclosure.subjects import Subjects

LOCK_SECONDS = 5.0
FREE_PASSES = 3
MOST_PASSES = 9
"""Passes over a table before, and after, the server is told to refuse rows without the declared terms."""
MOST_ROUNDS = 3
"""How often rows are gone through again because some were written without terms before the server refused such."""
_NOBODY: Subjects = {}
# Any number; the same for every Sealgate, so that two of them do not apply to one database at once.
_ADVISORY_LOCK = 0x5EA1_6A7E
_CONNECTION_LOST = ("08", "57P")


async def apply(
    connection: asyncpg.Connection,
    columns: Mapping[str, Declaration],
    keyset: Keyset,
    *,
    dry_run: bool = False,
    progress: Report | None = None,
    lock_seconds: float = LOCK_SECONDS,
    fire_triggers: bool = False,
    notice_seconds: float = 0.0,
    subjects: Subjects = _NOBODY,
    reader: str | None = None,
) -> ApplyReport:
    """Creates or repairs schema `sealgate`, seals what is declared and plain, and brings terms and indexes in line.

    columns        label -> type and search, as the configuration has them (`policy.columns`)
    keyset         must have keys for every declared column
    progress       called with Progress as rows are sealed, the table is rewritten and read back, rows get other terms
    fire_triggers  a table's own UPDATE triggers may act where its rows get other terms
    notice_seconds how long running proxies may take to see that terms are about to change (`control.refresh_seconds`)
    subjects       table label -> the columns that name the person whose row it is ([subjects])
    reader         the login that may see which rows held values that are gone (`control.dsn`'s)

    Never raises for what stands in the way: that is in the report, and `ok` is False. Raises asyncpg's errors when
    the connection fails; the open transaction is then the server's to take back.
    """
    application = _Application(
        connection,
        sealed_columns(columns),
        keyset,
        progress,
        lock_seconds,
        fire_triggers,
        notice_seconds,
        subjects,
        reader,
    )
    if dry_run:
        return await application.tell()
    async with _alone(connection) as alone:
        if not alone:
            return ApplyReport(False, obstacles=(_ANOTHER,))
        return await application.run()


_ANOTHER = Obstacle(
    f"schema {SCHEMA}", "another `sealgate apply` is at work on this database", "Wait for it."
)


class _Application:
    """One run: the connection, what is declared, the keys."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        declared: Mapping[str, SealedColumn],
        keyset: Keyset,
        progress: Report | None,
        lock_seconds: float,
        fire_triggers: bool,
        notice_seconds: float,
        subjects: Subjects,
        reader: str | None,
    ) -> None:
        self._connection = connection
        self._declared = declared
        self._keyset = keyset
        self._progress = progress or (lambda _: None)
        self._lock_seconds = lock_seconds
        self._fire_triggers = fire_triggers
        self._notice_seconds = notice_seconds
        self._subjects = subjects
        self._reader = reader
        self._may_replicate = False
        self._begun = False

    async def tell(self) -> ApplyReport:
        """The dry run."""
        async with fixed_names(self._connection, readonly=True):
            changes, steps, found = await self._look()
            needless = await self._forgotten(steps)
            tables = [
                await _measured(self._connection, s, self._keyset) if _measurable(s) else _report(s)
                for s in steps
            ]
        said = tuple(c.said for c in (*changes, *needless))
        return ApplyReport(True, said, tuple(tables), found)

    async def run(self) -> ApplyReport:
        async with fixed_names(self._connection, readonly=True):
            changes, steps, found = await self._look()
        if found:
            return ApplyReport(False, obstacles=found)
        if changes:
            trouble = await self._change_schema(changes)
            if trouble:
                return ApplyReport(False, obstacles=(trouble,))
            async with fixed_names(self._connection, readonly=True):
                more, steps, found = await self._look()
            if more:  # who may read a table is said once it is there
                trouble = await self._change_schema(more)
                if trouble:
                    return ApplyReport(False, obstacles=(trouble,))
                changes += more
        tables: list[TableReport] = []
        late = list(found)
        for planned in steps if not found else ():
            if planned.nothing:
                tables.append(_report(planned))
                continue
            report, refused = await self._change_table(planned.table.label)
            late += refused
            tables += [report] if report else []
        needless, refused = await self._forget(steps) if not late else ((), ())
        said = tuple(c.said for c in (*changes, *needless))
        return ApplyReport(False, said, tuple(tables), (*late, *refused), begun=self._begun)

    async def _forgotten(self, steps: list[TableSteps]) -> tuple[schema.Change, ...]:
        """Triggers and functions of ours that nothing declared needs."""
        return await forgotten(
            self._connection,
            [member.label for s in steps for member in s.table.members],
            [history.function_name(s.table.label) for s in steps],
        )

    async def _forget(
        self, steps: list[TableSteps]
    ) -> tuple[tuple[schema.Change, ...], tuple[Obstacle, ...]]:
        async with fixed_names(self._connection, readonly=True):
            needless = await self._forgotten(steps)
        done: list[schema.Change] = []
        refused: list[Obstacle] = []
        for step in needless:
            try:
                await change(self._connection, (step,), self._lock_seconds)
            except (
                asyncpg.InsufficientPrivilegeError,
                asyncpg.LockNotAvailableError,
                asyncpg.DependentObjectsStillExistError,
            ):
                refused.append(
                    Obstacle(
                        f"schema {SCHEMA}",
                        f"cannot {step.said} (a table is in use, or belongs to somebody else)",
                        "Run apply again when it is quiet, with --dsn as the tables' owner.",
                    )
                )
            else:
                done.append(step)
        return tuple(done), tuple(refused)

    async def _look(
        self,
    ) -> tuple[tuple[schema.Change, ...], list[TableSteps], tuple[Obstacle, ...]]:
        role = await role_facts(self._connection)
        facts = await schema_facts(self._connection, self._reader)
        found = [
            *obstacles.of_schema(facts, role),
            *obstacles.missing_keys(self._keyset.missing(self._declared)),
        ]
        tables = await table_facts(self._connection, self._declared)
        steps: list[TableSteps] = []
        for label, columns in _by_table(self._declared).items():
            table = tables.get(label)
            if table is None:
                found += [obstacles.missing_table(column) for column in columns]
                continue
            planned, refused = await self._steps(table, columns, role, facts)
            steps.append(planned)
            found += refused
        return schema.changes(facts), steps, tuple(found)

    async def _steps(
        self,
        table: TableFacts,
        columns: list[SealedColumn],
        role: RoleFacts,
        present: schema.SchemaFacts,
    ) -> tuple[TableSteps, tuple[Obstacle, ...]]:
        different = {
            column.label
            for column in columns
            if (facts := table.column(column.label)) is not None
            and facts.sealed is not None
            and table.selectable
            and await _flags_differ(self._connection, table, facts.quoted, column)
        }
        kept = await history_facts(self._connection, table, self._subjects.get(table.label, ()))
        declared = {found.name: found.quoted for found in table.columns}
        needed = history.changes(kept, declared, present)
        steps, refused = steps_for(
            table,
            columns,
            role,
            frozenset(different),
            history=needed,
            fire_triggers=self._fire_triggers,
        )
        return steps, (*refused, *history.obstacle(kept, needed, present, role.name))

    async def _change_schema(self, changes: tuple[schema.Change, ...]) -> Obstacle | None:
        said = ""
        try:
            async with fixed_names(self._connection):
                for change in changes:
                    said = change.said
                    for statement in change.statements:
                        await self._connection.execute(statement)
        except asyncpg.CheckViolationError as error:
            return Obstacle(
                f"schema {SCHEMA}",
                f"cannot {said}: column {error.column_name} of table {error.table_name} holds values that are not sealed",
                "Find how they came there and remove or seal them; the database does not refuse plaintext until then.",
            )
        except asyncpg.InsufficientPrivilegeError:
            return Obstacle(
                f"schema {SCHEMA}",
                f"this login may not {said}",
                "Run apply with --dsn as the database's owner.",
            )
        return None

    async def _change_table(self, label: str) -> tuple[TableReport | None, tuple[Obstacle, ...]]:
        """What was done with the table, and why not all was."""
        report: TableReport | None = None
        unmoved = False
        try:
            async with fixed_names(self._connection):
                steps, refused = await self._steps_of(label)
            unmoved = steps.settled
            if not refused and not steps.rewritten and steps.history:
                # Before anything else: the pass over rows with other terms gives them other cell ids.
                await change(self._connection, steps.history, self._lock_seconds)
                report = replace(_report(steps), done=True)
            if not refused and steps.rewritten:
                async with fixed_names(self._connection):
                    await lock(self._connection, label, self._lock_seconds)
                    report, refused = await self._change_locked(label)
                    if refused:
                        raise _Refused(refused)
            if not refused:
                async with unhurried(self._connection):
                    report = await self._settle(label, report)
        except _Refused as error:
            refused = error.obstacles
        except (TableBusy, asyncpg.LockNotAvailableError):
            refused = (_busy(label, self._lock_seconds),)
        except CannotSeal as error:
            refused = (Obstacle(error.label, error.problem, error.fix),)
        except asyncpg.PostgresError as error:
            if self._connection.is_closed() or (error.sqlstate or "08").startswith(
                _CONNECTION_LOST
            ):
                raise
            refused = (_refused_by_server(label, error),)
        if report is not None and report.done and not unmoved:
            await self._analyze(label)
        return report, refused

    async def _steps_of(self, label: str) -> tuple[TableSteps, tuple[Obstacle, ...]]:
        columns = _by_table(self._declared)[label]
        role = await role_facts(self._connection)
        self._may_replicate = role.may_replicate
        table = (await table_facts(self._connection, [c.label for c in columns]))[label]
        return await self._steps(table, columns, role, await schema_facts(self._connection))

    async def _settle(self, label: str, report: TableReport | None) -> TableReport | None:
        """Terms and indexes of the columns that are sealed, while everybody works."""
        started = time.monotonic()
        async with fixed_names(self._connection):
            steps, refused = await self._steps_of(label)
        if refused:
            raise _Refused(refused)
        if steps.nothing:
            return report
        self._begun = True
        if any(column.stale for column in steps.columns):
            await recede(self._connection, steps, self._lock_seconds)
            # Proxies look at the catalog now and then; what they saw still says that these terms may be compared.
            self._progress(Progress(label, "notice", 0, 0))
            await asyncio.sleep(self._notice_seconds)
            await withdraw(self._connection, steps, self._lock_seconds)
        for column in steps.columns:
            for index in column.needless:
                await drop_index(self._connection, index, steps.table.kind == "p")
        derived = await self._derive(steps) if steps.derived else None
        missing = [(column, term) for column in steps.columns for term in column.unserved]
        for number, (column, term) in enumerate(missing):
            self._progress(Progress(label, "index", number, len(missing)))
            await create_index(self._connection, steps.table, column.facts, term)
        await self._assure(steps)
        async with fixed_names(self._connection):
            after, _ = await self._steps_of(label)
        before = report or _report(steps, before=steps.table)
        return replace(
            before,
            columns=tuple(
                _merged(a, b) for a, b in zip(before.columns, _report(steps).columns, strict=True)
            ),
            indexes=(*before.indexes, *_report(steps).indexes) if report else before.indexes,
            notes=(*before.notes, *_report(steps).notes) if report else before.notes,
            done=True,
            derived=derived,
            table_bytes_after=after.table.table_bytes,
            index_bytes_after=after.table.index_bytes,
            derived_seconds=round(time.monotonic() - started, 1),
        )

    async def _derive(self, steps: TableSteps) -> int:
        """Rows updated. Proxies with the configuration from before are given a few passes' time before their rows are refused."""
        updated = 0
        for passes in (FREE_PASSES, MOST_PASSES):
            count, finished = await derive_terms(
                self._connection,
                steps,
                self._keyset,
                self._progress,
                passes=passes,
                without_triggers=self._may_replicate,
            )
            updated += count
            if finished:
                return updated
            await forbid(self._connection, steps, self._lock_seconds)
        raise CannotSeal(
            steps.table.label,
            f"after {FREE_PASSES + MOST_PASSES} passes there are still rows that were written with other terms than are declared",
            "Some proxy still runs with another configuration: reload it (SIGHUP), then run apply again; it goes on from here.",
        )

    async def _assure(self, steps: TableSteps) -> None:
        if not any(column.unassured for column in steps.columns):
            return
        self._progress(Progress(steps.table.label, "assure", 0, steps.table.rows_estimate))
        await forbid(self._connection, steps, self._lock_seconds)
        for left in reversed(range(MOST_ROUNDS)):
            try:
                await assure(self._connection, steps)
            except asyncpg.CheckViolationError:
                # Written by a proxy that still had the old configuration, before the server knew to refuse it.
                if not left:
                    raise CannotSeal(
                        steps.table.label,
                        "some rows were written without the declared terms while they were being derived",
                        "Run apply again.",
                    ) from None
                await self._derive(steps)
            else:
                return

    async def _analyze(self, label: str) -> None:
        """The rewrite dropped the old values' statistics; until there are new ones plans are bad. Autovacuum would do, later."""
        with suppress(asyncpg.LockNotAvailableError):
            async with fixed_names(self._connection):
                await self._connection.execute("SET LOCAL lock_timeout = '1s'")
                await self._connection.execute(f"ANALYZE {qualified(label)}")

    async def _change_locked(self, label: str) -> tuple[TableReport, tuple[Obstacle, ...]]:
        steps, refused = await self._steps_of(label)
        if refused:
            return _report(steps), refused
        started = time.monotonic()
        kept = await history_facts(self._connection, steps.table)
        await drop_triggers(self._connection, kept)
        rows = await seal_rows(self._connection, steps, self._keyset, self._progress)
        for number, index in enumerate(steps.created):
            self._progress(Progress(label, "index", number, len(steps.created)))
            await recreate_index(self._connection, await free_name(self._connection, index))
        after, _ = await self._steps_of(label)
        # In the transaction that seals the rows: from its end on their cell ids may be in the log.
        await run_changes(self._connection, after.history)
        report = replace(
            _report(steps, before=steps.table),
            rows=rows,
            done=True,
            table_bytes_after=after.table.table_bytes,
            index_bytes_after=after.table.index_bytes,
            seconds=round(time.monotonic() - started, 1),
        )
        return report, ()


class _Refused(Exception):
    """Takes the table's transaction back."""

    def __init__(self, found: tuple[Obstacle, ...]) -> None:
        super().__init__()
        self.obstacles = found


@asynccontextmanager
async def _alone(connection: asyncpg.Connection) -> AsyncIterator[bool]:
    taken = await connection.fetchval("SELECT pg_catalog.pg_try_advisory_lock($1)", _ADVISORY_LOCK)
    try:
        yield taken
    finally:
        if taken and not connection.is_closed():
            await connection.execute(f"SELECT pg_catalog.pg_advisory_unlock({_ADVISORY_LOCK})")


def _by_table(declared: Mapping[str, SealedColumn]) -> dict[str, list[SealedColumn]]:
    tables: dict[str, list[SealedColumn]] = {}
    for column in declared.values():
        tables.setdefault(column.table, []).append(column)
    return tables


async def _flags_differ(
    connection: asyncpg.Connection, table: TableFacts, quoted: str, column: SealedColumn
) -> bool:
    """Are there stored values without a term that is declared, or with one that is not?"""
    found: bool = await connection.fetchval(
        f"SELECT EXISTS (SELECT FROM {table.qualified} WHERE"  # noqa: S608
        f" get_byte(substring({quoted}, 1, 4), 3) <> {flags(column.search)})"
    )
    return found


def _busy(label: str, seconds: float) -> Obstacle:
    return Obstacle(
        label,
        f"the table is in use: its lock was not to be had in {seconds:g} s, and waiting longer would stop everybody behind it",
        "Run apply again when it is quiet; SELECT pid, query FROM pg_stat_activity shows who holds it.",
    )


def _refused_by_server(label: str, error: asyncpg.PostgresError) -> Obstacle:
    """Messages name objects, but class 22's may quote a value; DETAIL always may."""
    said = "" if error.sqlstate.startswith("22") else f": {error.args[0]}"
    problem = f"the server refused{said} (SQLSTATE {error.sqlstate})"
    if error.sqlstate in ("22021", "22P05"):
        return Obstacle(label, problem, "Some text in it cannot be had in UTF-8: correct it first.")
    return Obstacle(
        label, problem, "What is not done is as it was: put that right, and run apply again."
    )


def _report(steps: TableSteps, before: TableFacts | None = None) -> TableReport:
    return TableReport(
        table=steps.table.label,
        columns=tuple(
            ColumnReport(
                column=c.declared.label,
                action=c.action.value,
                type=c.declared.type.name,
                search=c.search,
            )
            for c in steps.columns
        ),
        indexes=tuple(
            statement
            for index in (*steps.created, *steps.indexes)
            for statement in index.statements()
        ),
        history=tuple(change.said for change in steps.history),
        notes=steps.notes,
        changes=not steps.nothing,
        table_bytes_before=before.table_bytes if before else None,
        index_bytes_before=before.index_bytes if before else None,
    )


def _merged(sealed: ColumnReport, settled: ColumnReport) -> ColumnReport:
    return settled if sealed.action == Action.KEEP.value else sealed


def _measurable(steps: TableSteps) -> bool:
    return not steps.nothing and steps.table.selectable and steps.table.kind in ("r", "p")


async def _measured(
    connection: asyncpg.Connection, steps: TableSteps, keyset: Keyset
) -> TableReport:
    """The dry run's report; without sizes where a key is missing, or a value is not what it should be, which the run itself says."""
    try:
        told = await forecast(connection, steps, keyset)
    except (CannotSeal, KeystoreError):
        return _report(steps)
    return replace(
        _report(steps, before=steps.table),
        rows=told.rows,
        table_bytes_after=told.live_bytes + told.dead_bytes,
        dead_bytes=told.dead_bytes,
        index_bytes_after=told.index_bytes,
        staging_bytes=told.staging_bytes or None,
        seconds=told.seconds if steps.rewritten else None,
        derived=told.derived if steps.derived else None,
        derived_seconds=told.derived_seconds if steps.derived else None,
        terms=told.terms,
    )
