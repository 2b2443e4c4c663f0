r"""psql's \d commands: what they print through the proxy is what they print on the server."""

from __future__ import annotations

import re

import pytest

from tests.tools.programs import Stage, Tools

COMMANDS = [
    r"",
    r"\d",
    r"\d+",
    r"\d customers",
    r"\d+ customers",
    r"\d contacts",
    r"\d+ contacts",
    r"\d customers_pkey",
    r"\d customers_id_seq",
    r"\d *.cust*",
    r"\dS pg_class",
    r"\da",
    r"\dA",
    r"\dA+",
    r"\dAc",
    r"\dAf",
    r"\dAo",
    r"\dAp",
    r"\db",
    r"\db+",
    r"\dc",
    r"\dconfig",
    r"\dconfig *encoding*",
    r"\dC",
    r"\dd",
    r"\dD",
    r"\dD+",
    r"\dD+ sealgate.*",
    r"\ddp",
    r"\dE",
    r"\des",
    r"\det",
    r"\deu",
    r"\dew",
    r"\df",
    r"\df+ mails",
    r"\df+ sealgate.*",
    r"\dF",
    r"\dFd",
    r"\dFp",
    r"\dFt",
    r"\dg",
    r"\di",
    r"\di+",
    r"\dl",
    r"\dL",
    r"\dm",
    r"\dn",
    r"\dn+",
    r"\do",
    r"\dO",
    r"\dp",
    r"\dP",
    r"\drds",
    r"\drg",
    r"\dRp",
    r"\dRs",
    r"\ds",
    r"\dt",
    r"\dt+",
    r"\dt *.*",
    r"\dT",
    r"\dT+ sealgate.*",
    r"\dT+ mood",
    r"\du",
    r"\du+",
    r"\dv",
    r"\dv+",
    r"\dx",
    r"\dX",
    r"\dy",
    r"\l",
    r"\l+",
    r"\z customers",
    r"\sf mails",
    r"\sf+ sealgate.refuse",
    r"\sf sealgate.eq",
    r"\sv contacts",
    r"\sv+ contacts",
    r"\encoding",
    r"\d no_such_table",
    r"\sf no_such_function",
    r"",
][1:-1]

SIZES = re.compile(r"\d+ (bytes|kB|MB)")
"""Two looks at a size at two moments: other tests write in between."""


def said_by(tools: Tools) -> dict[str, tuple[str, str]]:
    """What each command printed on standard output; what all of them printed on standard error."""
    script = "".join(f"\\echo <<<{i}>>>\n\\warn <<<{i}>>>\n{c}\n" for i, c in enumerate(COMMANDS))
    said = tools.psql(script)
    out, err = (re.split(r"<<<\d+>>>\n", text)[1:] for text in (said.out, said.err))
    return {c: (o, e) for c, o, e in zip(COMMANDS, out, err, strict=True)}


Answers = tuple[dict[str, tuple[str, str]], dict[str, tuple[str, str]]]


@pytest.fixture(scope="module")
def answers(stage: Stage) -> Answers:
    return said_by(stage.proxied()), said_by(stage.direct())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_catalog_command_prints_what_it_prints_on_the_server(
    answers: Answers, command: str
) -> None:
    """Byte for byte: the proxy neither hides nor adds anything in the catalog."""
    proxied, direct = ([SIZES.sub("?", text) for text in said[command]] for said in answers)
    assert proxied == direct
    assert any(direct), "the command says something"


def test_a_table_shows_what_is_sealed_and_as_what(answers: Answers) -> None:
    r"""\d names the domain, on purpose: a DBA sees which columns are sealed."""
    described = answers[0]["\\d customers"][0]
    for column, domain in (
        ("email", "sealed_text"),
        ("birth_date", "sealed_date"),
        ("balance", "sealed_numeric"),
    ):
        assert re.search(rf"^ {column} +\| sealgate\.{domain} ", described, re.MULTILINE)
    assert re.search(r"^ name +\| text ", described, re.MULTILINE)
    assert "sealgate.eq(email" in described


def test_conninfo_names_the_proxy(stage: Stage) -> None:
    r"""\conninfo: the address is the proxy's; database and user are as on the server."""
    (proxied, direct) = (t.psql("\\conninfo\n").out for t in (stage.proxied(), stage.direct()))
    ports = [re.search(r"Server Port +\| (\d+)", text) for text in (proxied, direct)]
    assert [int(p[1]) for p in ports if p] == [stage.shop.port, stage.direct().port]
    same = re.compile(r"(?m)^ (?:Server Port|Backend PID) .*$")
    assert same.sub("", proxied) == same.sub("", direct)
