"""One tiny run from end to end: real PostgreSQL, real pgbench, Sealgate as a process."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import psycopg
import pytest

from bench import __main__ as bench
from bench import application as encrypting
from bench import pgcrypto, results, servers
from bench.cost import cost
from bench.processes import cpu_seconds, family
from bench.settings import TINY
from bench.stage import NotReadThrough, Stage
from bench.targets import judge

ROOT = Path(__file__).parents[2]
MACHINE = {
    "cores",
    "cpu",
    "memory_gb",
    "kernel",
    "python",
    "postgresql",
    "pgbouncer",
    "libraries",
    "commit",
    "changed_since_commit",
    "sealgate",
    "compiled",
}


def test_a_tiny_run_writes_everything_that_is_promised(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Point SELECTs and the server's plans: exit 0, and a result file with every field."""
    file = tmp_path / "result.json"
    wanted = "point_select_sealed@8,copy_in,workers_*,application_point_select,plans,storage"
    code = bench.main(["--scale", "tiny", "--only", wanted, "--workers", "1", "--out", str(file)])
    said = capfd.readouterr().out
    assert code == 0, said
    result = results.read(file)
    assert set(result) == {
        *("format", "date", "machine", "settings", "measured", "observed", "failed"),
        *("missing", "targets", "seconds"),
    }
    assert set(result["machine"]) == MACHINE
    assert result["settings"]["people"] == TINY.people
    for told, again in zip(result["targets"], judge(result), strict=True):
        figure = again["figure"]
        near = None if figure is None else pytest.approx(figure, rel=1e-5)
        assert told == {**again, "figure": near}
    point = result["measured"]["point_select_sealed@8"]
    assert point["missing"]["sealed_2"] == "--workers does not name 2"
    for side in ("direct", "sealed"):
        (figures,) = point["rounds"][side]
        assert figures["rate"] > 0
        assert 0 < figures["p50_ms"] <= figures["p99_ms"]
        assert point["medians"][side] == figures
    assert point["rounds"]["sealed"][0]["cpu_s"] > 0
    assert point["ratios"]["sealed"]["direct"] > 0
    assert result["measured"]["copy_in"]["rounds"]["sealed"][0]["count"] >= TINY.copied
    for name, side in (
        ("point_select_sealed@8", "sealed"),
        ("workers_rows@8", "sealed"),
        ("workers_copy_out@8", "sealed"),
    ):
        found = cost(result["measured"][name]["medians"][side])
        assert found is not None
        assert found.proxy > 0
        assert found.others > 0
    assert result["measured"]["workers_rows@8"]["rounds"]["sealed"][0]["count"] >= TINY.copied
    application = result["measured"]["application_point_select"]
    assert {*application["medians"], *application["missing"]} == set(encrypting.SIDES)
    assert {"application", "sealed_application"} <= set(application["medians"])
    plan = result["observed"]["plans"]["cases"]["sealed"]
    assert plan["index_scan"]
    assert "sealed_people_email" in plan["plan"]
    stored = result["observed"]["storage"]["cases"]
    assert stored["sealed"]["email_bytes"] > stored["plain"]["email_bytes"]
    assert "not measured" in said


def test_the_sealed_side_reads_what_the_database_does_not_show() -> None:
    """Through Sealgate the rows are the plain ones; a side that shows sealed bytes is found out, and is not measured.

    Leaving the stage ends every process that it started.
    """
    said: list[str] = []
    with Stage(TINY, ROOT, (1,), said.append) as stage:
        with psycopg.connect(stage.dsn("sealed")) as through:
            row = through.execute("SELECT email, phone, born FROM sealed.people WHERE id = 7")
            assert row.fetchone() == ("user7@example.com", "+49 30 1000007", date(1950, 1, 8))
        with psycopg.connect(stage.dsn("direct")) as direct:
            (stored,) = direct.execute("SELECT email FROM sealed.people WHERE id = 7").fetchall()
            assert stored[0][:2] == b"\x5e\xa1"
        stage.verify("sealed")
        with pytest.raises(NotReadThrough):
            stage.verify("direct")
        proxy = stage.side("sealed").server
        assert proxy is not None
        pids = [*proxy.pids, *family(proxy.process.pid)]
        assert cpu_seconds(pids) > 0
    assert proxy.process.poll() is not None
    assert cpu_seconds(pids) == 0
    assert not stage.directory.exists()
    assert len(said) == 1


def test_what_is_not_installed_is_told_of_every_side_that_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without pgcrypto and pgbouncer no side that needs one of them is a failure; the application's still run."""

    def no_pgcrypto() -> Path:
        raise servers.NotAvailable("no pgcrypto here")

    monkeypatch.setattr("bench.pgcrypto.installed", no_pgcrypto)
    with Stage(TINY, ROOT, (1,), lambda _: None) as stage:
        for name in reversed(pgcrypto.SIDES):
            with pytest.raises(servers.NotAvailable, match="no pgcrypto here"):
                stage.side(name)
        monkeypatch.setattr("shutil.which", lambda *_, **__: None)
        with pytest.raises(servers.NotAvailable, match="apt install pgbouncer"):
            stage.side("application_pgbouncer")
        assert stage.side("sealed_application").port == stage.side("sealed").port
        assert set(stage.missing) == {*pgcrypto.SIDES, "pgbouncer", "application_pgbouncer"}


def test_nothing_by_that_name(capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong name is told before any server is started."""
    assert bench.main(["--only", "no_such_thing"]) == 2
    assert "no_such_thing" in capsys.readouterr().err


def test_names_stand_for_all_their_numbers_of_clients() -> None:
    assert bench.matches("insert@8", ["insert"])
    assert bench.matches("rows_1k_3@8", ["rows_*"])
    assert bench.matches("point_select_sealed@64", ["lookup", "point_select_sealed@64"])
    assert not bench.matches("insert_100@8", ["insert"])


def test_the_quick_scale_leaves_out_numbers_of_clients() -> None:
    """Where there is one with 8, only that one; a workload with another number alone stays."""
    every = ["connect@1", "connect@8", "rows_100k_3@4", "copy_in"]
    kept = [name for name in every if bench.middling(name, every)]
    assert kept == ["connect@8", "rows_100k_3@4", "copy_in"]


def test_a_missing_pgbouncer_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported with what to install."""
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(servers.NotAvailable, match="apt install pgbouncer"):
        servers.start_pgbouncer(5432, tmp_path / "pgbouncer")
    assert servers.pgbouncer_version() is None
