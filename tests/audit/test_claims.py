"""What a client claims of the person and the reason behind a statement."""

from __future__ import annotations

import os
import random

import orjson
import pytest

from proxy.audit.claims import CLAIM_CAP, KEYS, claimed, claimed_json, from_comment

EXAMPLE = "/*action='%2Fpolls%2Fdetail',actor='u42',db_driver='asyncpg',ticket='8812',traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01',tracestate='congo%3Dt61rcWkgMzE'*/"


def test_a_comment_of_sqlcommenter() -> None:
    """Known keys are taken and URL-decoded, others are not."""
    assert from_comment(EXAMPLE) == {
        "action": "/polls/detail",
        "actor": "u42",
        "db_driver": "asyncpg",
        "ticket": "8812",
        "traceparent": "00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01",
    }


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("/* no pairs at all */", {}),
        ("/**/", {}),
        ("/*email='ada@example.com'*/", {}),
        ("/*actor=u42*/", {}),
        ("/*actor='u42'*/;", {"actor": "u42"}),
        ("/* actor = 'u42' , ticket='1' */", {"actor": "u42", "ticket": "1"}),
        ("/*ACTOR='u42',actor='u43'*/", {"actor": "u42"}),
        (r"/*actor='o\'brien'*/", {"actor": "o'brien"}),
        ("/*actor='%ff%00'*/", {"actor": "\ufffd\0"}),
        ("/*actor=''*/", {"actor": ""}),
        ("/*actor='a',*/", {"actor": "a"}),
        ("/*xactor='a'*/", {}),
    ],
)
def test_comments(comment: str, expected: dict[str, str]) -> None:
    """The first of a key counts; what is no pair of a known key is passed over."""
    assert from_comment(comment) == expected


def test_a_comment_goes_before_the_session() -> None:
    """The session's settings hold where the comment says nothing; empty claims are none."""
    session = (("actor", "pool"), ("purpose", "support"))
    assert claimed(session, "/*actor='u42',ticket=''*/") == {"actor": "u42", "purpose": "support"}
    assert claimed((("actor", ""),), "") == {}
    assert claimed_json((), "/* nothing */") == b""


def test_a_claim_cannot_forge_a_field_or_a_line() -> None:
    """Whatever a client claims is one JSON string on one line, of a bounded length, under a key of ours."""
    seed = int(os.environ.get("CLAIMS_SEED") or random.randrange(1 << 32))
    print(f"CLAIMS_SEED={seed}")
    rng = random.Random(seed)
    alphabet = "aé\"\\\n\r\0\x1b\u202e\u200b{}[],:%'=*/ \ud7ff\U0001f600"
    for _ in range(3000):
        value = "".join(rng.choices(alphabet, k=rng.randrange(300)))
        key = rng.choice([*sorted(KEYS), "integrity", "hash", "cells"])
        comment = f"/*{key}='{value}'*/"
        fragment = claimed_json((("actor", value), ("purpose", value[::-1])), comment)
        assert b"\n" not in fragment
        assert b"\r" not in fragment
        assert b"\0" not in fragment
        event = orjson.loads(b'{"cells":0%b}' % fragment)
        assert set(event) <= {"cells", "claimed"}
        claims = event.get("claimed", {})
        assert set(claims) <= KEYS
        assert list(claims) == sorted(claims)
        for text in claims.values():
            assert text.isprintable()
            assert len(text) <= 12 * CLAIM_CAP


def test_long_hostile_comments_take_no_long() -> None:
    """Reading is linear: no comment makes the expression go back and forth."""
    for comment in ("/*" + "a" * 4000 + "*/", "/*" + "a='" * 1300 + "*/", "/*a='" + "\\" * 3999):
        assert from_comment(comment) == {}
