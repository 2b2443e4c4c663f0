"""The articles that an incident report has fields for, and what of them a machine can fill in.

GDPR: Regulation (EU) 2016/679, Articles 33 and 34. PCI DSS 4.0.1, requirements 10.2 and 12.10. HIPAA: 45 CFR 164.402, 164.404.
What the law asks is in our words; a lawyer's are to be had from a lawyer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from proxy.report.document import Text
from proxy.report.human import Human
from proxy.report.times import said, spoken

NOTIFY_WITHIN = timedelta(hours=72)


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that an article asks for."""

    article: str
    asked: str
    answer: tuple[str | Human, ...]


@dataclass(frozen=True, slots=True)
class Clock:
    """GDPR Art. 33(1): 72 hours from when the controller became aware. `remaining_seconds` is negative when they are over."""

    aware: datetime | Human
    deadline: datetime | Human
    remaining_seconds: int | Human
    over: bool | Human


@dataclass(frozen=True, slots=True)
class Known:
    """What the articles need of the report."""

    since: datetime
    until: datetime
    logins: int
    clear: int
    masked: int
    clear_columns: tuple[str, ...]
    masked_columns: tuple[str, ...]
    compared_columns: tuple[str, ...]
    sealed_columns: tuple[str, ...]
    persons: int | Human
    persons_at_least: bool
    """Not every value could be traced to a person."""
    records: int
    records_at_least: bool
    """There are more: of some values the ids are not known."""
    containments: int
    findings: int
    whole: bool


def clock(aware: int | None, now: datetime, moment_of: datetime | None) -> Clock:
    """`moment_of`: `aware` as a moment."""
    if aware is None or moment_of is None:
        ask = Human("when did the controller become aware? Then run again with --aware")
        return Clock(ask, ask, ask, ask)
    deadline = moment_of + NOTIFY_WITHIN
    remaining = round((deadline - now).total_seconds())
    return Clock(moment_of, deadline, remaining, remaining < 0)


def countdown(clock: Clock) -> Text:
    """In words."""
    if isinstance(clock.deadline, Human) or isinstance(clock.remaining_seconds, Human):
        return (
            "The 72 hours of Art. 33(1) run from when the controller became aware: ",
            Human("when"),
        )
    left = spoken(clock.remaining_seconds * 1000)
    if clock.remaining_seconds < 0:
        return (
            f"The 72 hours of Art. 33(1) ended {left} ago, at {said(clock.deadline)}: the notification needs the reasons for"
            " the delay.",
        )
    return (f"{left} left to notify the supervisory authority (until {said(clock.deadline)}).",)


def article_33(known: Known, clock: Clock) -> tuple[Field, ...]:
    """GDPR Art. 33(3) and (1), (4), (5)."""
    nature = (
        f"Confidentiality. Between {said(known.since)} and {said(known.until)}, {_counted(known.logins, 'login')} of the"
        f" selection got {_counted(known.clear, 'value')} in clear{_of(known.clear_columns)} and"
        f" {_counted(known.masked, 'value')} masked{_of(known.masked_columns)}. "
    )
    late: tuple[str | Human, ...] = ("The 72 hours are not over.",)
    if isinstance(clock.over, Human):
        late = (Human("was the authority notified within 72 hours? If not, why"),)
    elif clock.over:
        late = (Human("reasons for the delay: the 72 hours are over"),)
    measures = (
        f"{_counted(known.containments, 'containment')} and {_counted(known.findings, 'finding')} in the log (see the"
        " timeline). "
    )
    return (
        Field(
            "33(3)(a)",
            "Nature of the breach",
            (nature, Human("availability, integrity; how it came about")),
        ),
        Field(
            "33(3)(a)",
            "Categories of persons",
            (Human("customers, employees, patients, children, ..."),),
        ),
        Field("33(3)(a)", "Approximate number of persons", _persons(known)),
        Field(
            "33(3)(a)",
            "Categories of records",
            (
                _named((*known.clear_columns, *known.masked_columns)) + ". ",
                Human("special categories (Art. 9)?"),
            ),
        ),
        Field(
            "33(3)(a)",
            "Approximate number of records",
            (
                f"{'at least ' if known.records_at_least else ''}{known.records:,} distinct stored values shown, clear or masked",
            ),
        ),
        Field("33(3)(b)", "Contact", (Human("name and contact of the data protection officer"),)),
        Field(
            "33(3)(c)",
            "Likely consequences",
            (Human("for these persons: fraud, identity theft, ..."),),
        ),
        Field(
            "33(3)(d)", "Measures taken", (measures, Human("further measures, and those proposed"))
        ),
        Field("33(1)", "Reasons for a delay", late),
        Field("33(4)", "Information in phases", (Human("what will follow, and when"),)),
        Field("33(5)", "Entry in the register of breaches", (Human("number"),)),
    )


def article_34_3_a(known: Known) -> tuple[tuple[str, bool, str], ...]:
    """Per column: were its values unintelligible to whoever got them? (column, holds, because)."""
    clear = [
        (c, False, "values were released in clear: Art. 34(3)(a) does not hold")
        for c in known.clear_columns
    ]
    masked = [
        (c, False, "values were released masked: what the mask shows was readable")
        for c in known.masked_columns
        if c not in known.clear_columns
    ]
    sealed = [(c, *_sealed(known, c)) for c in known.sealed_columns]
    return tuple(clear + masked + sealed)


def _sealed(known: Known, column: str) -> tuple[bool, str]:
    """Of a column of which nothing was released."""
    if column in known.compared_columns:
        return (
            False,
            "nothing was released, but its values were compared: who guessed right has learned that",
        )
    if not known.whole:
        return (
            False,
            "the log shows no release to the selection, but the log is not known to be whole",
        )
    return (
        True,
        "nothing of it was released to the selection; in the database its values are encrypted",
    )


def letter(known: Known) -> tuple[Text, ...]:
    """GDPR Art. 34(2): to the persons, in plain language."""
    shown: list[str] = []
    if known.clear_columns:
        shown.append(f"readable: {_named(known.clear_columns)}")
    masked = tuple(c for c in known.masked_columns if c not in known.clear_columns)
    if masked:
        shown.append(f"in part (masked): {_named(masked)}")
    data = "; ".join(shown) or "none of the protected data was readable"
    unread = tuple(c for c in known.sealed_columns if _sealed(known, c)[0])
    protected = (
        (f"Not readable, because they are encrypted: {_named(unread)}.",)
        if unread
        else (Human("say what was not affected, if that is certain"),)
    )
    return (
        ("Dear ", Human("name"), ","),
        (
            f"between {said(known.since)} and {said(known.until)} somebody ",
            Human("say in plain words what happened"),
            " and so saw data about you.",
        ),
        ("Which data: ", data, ". ", Human("put the columns into words")),
        protected,
        ("What this may mean for you: ", Human("likely consequences")),
        ("What we have done: ", Human("measures")),
        ("What you can do: ", Human("advice, such as changing a password, watching accounts")),
        ("Whom to ask: ", Human("name and contact of the data protection officer")),
    )


def pci(known: Known) -> tuple[Field, ...]:
    return (
        Field(
            "PCI DSS 10.2.1.1",
            "Individual access to cardholder data",
            ("The columns and sessions above. ", Human("which columns hold cardholder data")),
        ),
        Field(
            "PCI DSS 10.2.2",
            "User, type, time, success, origin, resource",
            ("In every event of the access log.",),
        ),
        Field(
            "PCI DSS 10.3.4",
            "Log protected against change",
            ("Hash chain and signed checkpoints: see the log's verdict above.",),
        ),
        Field(
            "PCI DSS 12.10.1",
            "Incident response, payment brands and acquirer informed",
            (Human("who was informed, and when"),),
        ),
    )


def hipaa(known: Known) -> tuple[Field, ...]:
    acquired = f"{known.clear:,} values were released in clear, {known.masked:,} masked."
    return (
        Field(
            "164.402(2)(i)",
            "Nature and extent of the information",
            (
                _named((*known.clear_columns, *known.masked_columns)) + ". ",
                Human("likelihood of re-identification"),
            ),
        ),
        Field(
            "164.402(2)(ii)",
            "Who used it or to whom it was disclosed",
            ("The logins and sessions above. ", Human("who is behind them")),
        ),
        Field("164.402(2)(iii)", "Actually acquired or viewed", (acquired,)),
        Field("164.402(2)(iv)", "Extent to which the risk was mitigated", (Human("mitigation"),)),
        Field(
            "164.404(b)",
            "Notice within 60 days of discovery",
            (Human("date of discovery, and of the notices"),),
        ),
    )


NOTES = {"pci": ("PCI DSS", pci), "hipaa": ("HIPAA", hipaa)}


def _persons(known: Known) -> tuple[str | Human, ...]:
    if isinstance(known.persons, Human):
        return (known.persons,)
    if known.persons_at_least:
        untraced = Human("how many altogether: not every value could be traced to a person")
        return f"At least {known.persons:,}. ", untraced
    return (f"{known.persons:,}, by the subject keys of the rows concerned",)


def _of(columns: tuple[str, ...]) -> str:
    return f" ({_named(columns)})" if columns else ""


def _named(columns: tuple[str, ...]) -> str:
    return ", ".join(dict.fromkeys(columns)) or "no column"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
