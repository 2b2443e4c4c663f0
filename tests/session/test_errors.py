"""What of a server's error the client gets."""

from __future__ import annotations

from proxy.errors import presented
from proxy.wire.messages import read_fields


def told(**fields: str) -> dict[str, str]:
    """The fields of the message that the client gets."""
    given = {code: text.encode() for code, text in fields.items()}
    message = presented(given, None)
    shown = given if message is None else read_fields(message[5:])
    return {code: text.decode() for code, text in shown.items()}


TERM = "\\x15daf7c07a6058008a56daea24ea2f3b"


def test_a_term_is_not_told() -> None:
    """A unique violation names the column, and not the term under which equal values are found."""
    shown = told(C="23505", D=f"Key (sealgate.eq(email::bytea))=({TERM}) already exists.")
    assert shown["D"] == "Key (email)=(sealed) already exists."
    shown = told(D=f'Key (shop, sealgate.eq("E Mail"::bytea))=(7, {TERM}) already exists.')
    assert shown["D"] == 'Key (shop, "E Mail")=(7, sealed) already exists.'


def test_a_term_in_the_other_output_form_is_not_told() -> None:
    """bytea_output = escape: the DETAIL is left out."""
    assert "D" not in told(C="23505", D=r"Key (sealgate.eq(email::bytea))=(a\001b) already exists.")


def test_sealed_values_are_not_quoted() -> None:
    """A failing row and a parameter, also one that the server cut."""
    shown = told(
        C="23502",
        D="Failing row contains (1, null, \\x5ea1010100000001aabb, 2020-01-01, \\x5ea10100000...).",
        W="unnamed portal with parameters: $1 = '\\x5ea1010100'",
    )
    assert shown["D"] == "Failing row contains (1, null, sealed, 2020-01-01, sealed)."
    assert shown["W"] == "unnamed portal with parameters: $1 = 'sealed'"


def test_other_errors_are_the_servers_own() -> None:
    """Byte for byte."""
    assert presented({"C": b"23505", "D": b"Key (id)=(\\x1234) already exists."}, None) is None
