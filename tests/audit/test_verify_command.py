"""`sealgate audit verify` as it is typed: exit codes, keys, configuration, JSON, while the log is written."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.audit.event import stopped
from proxy.audit.log import AuditLog, Keeping
from proxy.audit.verdict import Kind
from proxy.cli import main
from tests.audit.tampering import (
    delete,
    drop_newest_files,
    edit,
    exported,
    insert_junk,
    insert_untagged,
    made,
    truncate,
)

SEED = int(os.environ.get("TAMPER_SEED", random.randrange(1 << 30)))
CONFIGURATION = """
[control]
dsn = "postgresql://sealgate@127.0.0.1:5432/shop"

[columns."public.customers.email"]
type = "text"
"""


@pytest.fixture(autouse=True)
def printed_seed() -> None:
    print(f"TAMPER_SEED={SEED}")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A configuration and its log, which was stopped in order."""
    (tmp_path / "sealgate.toml").write_text(CONFIGURATION)
    written(tmp_path, 30)
    return tmp_path


def written(site: Path, count: int, keeping: Keeping | None = None) -> None:
    log = AuditLog(site / "audit.jsonl", keeping=keeping)
    for _ in range(count):
        log.write(stopped("SIGTERM", 7))
    log.checkpoint()
    log.close()


Said = tuple[int, dict[str, Any]]


@pytest.fixture
def verify(site: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """The exit code and the verdict, of the configured log unless files are named."""

    def verify(*arguments: object) -> Said:
        config = ["--config", str(site / "sealgate.toml")]
        code = main(["audit", "verify", *config, "--json", *map(str, arguments)])
        said = capsys.readouterr().out
        return code, json.loads(said) if said else {}

    return verify


def kept(site: Path, elsewhere: Path) -> list[object]:
    """The keys as the auditor has them: not on the host any more."""
    state = site / "audit.jsonl.state"
    (state / "seal.key").rename(elsewhere / "kept.key")
    (elsewhere / "kept.pub").write_bytes((state / "signing.pub").read_bytes())
    return ["--public-key", elsewhere / "kept.pub", "--seal-key", elsewhere / "kept.key"]


def test_the_configured_log(site: Path, verify: Callable[..., Said]) -> None:
    """Keys and head from where the configuration says; that these keys prove less is said."""
    code, said = verify()
    assert (code, said["verdict"], said["issues"]) == (0, "ok", [])
    (chain,) = said["chains"]
    assert chain["sealed_to"] == chain["last"] == said["events"]
    assert any("read on this host" in text for text in said["unchecked"])


def test_with_keys_that_were_kept_elsewhere(
    site: Path, tmp_path: Path, verify: Callable[..., Said]
) -> None:
    """Then only a copy is left to ask for."""
    code, said = verify(*kept(site, tmp_path))
    assert code == 0
    assert [text.split(" ")[0] for text in said["unchecked"]] == ["copies"]


def test_keys_of_the_host_do_not_stand_in_for_those_that_are_given(
    site: Path, tmp_path: Path, verify: Callable[..., Said]
) -> None:
    """An attacker's key pair in the state directory: found by the public key that was kept, although the seal key was not."""
    keys = kept(site, tmp_path)
    state = site / "audit.jsonl.state"
    (site / "audit.jsonl").unlink()
    for file in state.iterdir():
        file.unlink()
    written(site, 5)
    assert verify()[0] == 0  # with what is on the host alone
    code, said = verify(*keys[:2])
    assert (code, said["verdict"]) == (13, "forged")
    assert any("--seal-key" in text for text in said["unchecked"])


ATTACKS = {
    "altered": edit,
    "missing": delete,
    "cut off": truncate,
    "forged": insert_untagged,
    "undecided": insert_junk,
}


@pytest.mark.parametrize("verdict", ATTACKS)
def test_each_verdict_has_an_exit_code(
    verdict: str, tmp_path: Path, verify: Callable[..., Said]
) -> None:
    """As docs/audit.md lists them; files are named as a shell names them, in its order."""
    before = made(SEED)
    log = before.duplicate()
    ATTACKS[verdict](log, random.Random(SEED))
    folder = tmp_path / "logs"
    folder.mkdir()
    log.write(folder)
    copy = exported(before, tmp_path)
    code, said = verify(*sorted(folder.glob("audit.jsonl*")), "--copy", copy)
    assert said["verdict"] == verdict
    assert code == {kind.word: kind.value for kind in Kind}[verdict]
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
    assert f"| {code} | {verdict} |" in page


def test_a_dropped_file_is_found_by_the_copy(tmp_path: Path, verify: Callable[..., Said]) -> None:
    """What the files alone cannot show: exit 0 without, 12 with the SIEM's checkpoints."""
    before = made(SEED)
    log = before.duplicate()
    drop_newest_files(log, random.Random(SEED))
    folder = tmp_path / "logs"
    folder.mkdir()
    log.write(folder)
    files = sorted(folder.glob("audit.jsonl*"))
    code, said = verify(*files)
    assert code == 0
    assert any("--copy" in text for text in said["unchecked"])
    assert any("the end" in text for text in said["unchecked"])
    assert verify(*files, "--copy", exported(before, tmp_path))[0] == 12


def test_rotated_and_compressed_files_of_the_configured_log(
    site: Path, verify: Callable[..., Said]
) -> None:
    """They are found by their names."""
    written(site, 200, Keeping(rotate_bytes=20_000, compress=False, checkpoint_events=50))
    rotated = [file for file in site.glob("audit.jsonl.*-*") if file.is_file()]
    assert len(rotated) > 2
    for file in rotated[::2]:
        file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert verify()[0] == 0
    (site / (rotated[0].name + ".gz")).unlink()
    assert verify()[0] == 11


def test_a_log_that_is_written_and_rotated_meanwhile(
    site: Path, verify: Callable[..., Said]
) -> None:
    """Never a false alarm: head and end of the log are taken at one moment, under the log's lock."""
    keeping = Keeping(rotate_bytes=30_000, compress=True, checkpoint_events=20)
    log = AuditLog(site / "audit.jsonl", keeping=keeping)
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            log.write(stopped("SIGTERM", 7))
            time.sleep(0.0005)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        events = []
        for _ in range(12):
            code, said = verify()
            assert (code, said["issues"]) == (0, [])
            events.append(said["events"])
    finally:
        ended.set()
        writer.join()
        log.close()
    assert events == sorted(events)
    assert events[-1] > events[0]


WRITER = """
import sys
from pathlib import Path
from proxy.audit.event import stopped
from proxy.audit.log import AuditLog, Keeping
keeping = Keeping(rotate_bytes=200_000, compress=True, checkpoint_events=50)
log = AuditLog(Path("audit.jsonl"), keeping=keeping)
print("ready", flush=True)
while True:
    log.write_all([stopped("SIGTERM", 7)] * int(sys.argv[1]))
"""


@pytest.mark.parametrize("times", [3, pytest.param(50, marks=pytest.mark.long)])
def test_a_log_whose_writers_were_killed(
    site: Path, verify: Callable[..., Said], times: int
) -> None:
    """Two at once, kill -9 at any moment, also in the middle of a rotation: never a false alarm."""
    rng = random.Random(SEED)
    root = str(Path(__file__).parents[2])
    for _ in range(times):
        command = [sys.executable, "-c", WRITER, str(rng.choice([1, 5, 300]))]
        writers = [
            subprocess.Popen(
                command, cwd=site, env={**os.environ, "PYTHONPATH": root}, stdout=subprocess.PIPE
            )
            for _ in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            writer.stdout.readline()
        time.sleep(rng.random() / 5)
        for writer in writers:
            writer.kill()
        for writer in writers:
            writer.communicate()
        code, said = verify()
        assert (code, said["issues"]) == (0, [])


def test_the_head_of_the_host_shows_that_the_end_was_cut_off(
    site: Path, verify: Callable[..., Said]
) -> None:
    """The live file lost its last lines, or is not there at all."""
    path = site / "audit.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-3]))
    code, said = verify()
    assert code == 12
    assert (said["first"]["sequence"], said["first"]["last"]) == (len(lines) - 2, len(lines))
    path.unlink()
    assert verify()[0] == 12


def test_an_old_copy_of_the_head(site: Path, tmp_path: Path, verify: Callable[..., Said]) -> None:
    """--head: the log goes on behind it, and that part is said not to be covered by it."""
    head = tmp_path / "head"
    head.write_bytes((site / "audit.jsonl.state" / "head").read_bytes())
    written(site, 5)
    code, said = verify("--head", head)
    assert code == 0
    assert any("where the head was copied" in text for text in said["unchecked"])
    assert verify(site / "audit.jsonl", "--head", head)[0] == 0


def test_people_read_the_verdict_first(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first line is the verdict, the second where it begins; what was not checked is at the end."""
    path = site / "audit.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], *lines[5:]]))
    assert main(["audit", "verify", "--config", str(site / "sealgate.toml")]) == 11
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("missing: ")
    assert said[1] == "from here on: event 5, audit.jsonl:5: 1 event missing"
    assert "Not checked:" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl is not a file"),
        (["--public-key", "nowhere.pub"], "nowhere.pub"),
        (["--public-key", "sealgate.toml"], "not an Ed25519 public key"),
        (["--seal-key", "sealgate.toml"], "not a seal key"),
        (["--head", "sealgate.toml"], "damaged, or no head"),
        (["--copy", "nowhere.json"], "--copy: nowhere.json is not a file"),
        (["--first", "0"], "counts from 1"),
    ],
)
def test_what_cannot_be_used_is_usage(
    site: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    """Exit 2 and one line on stderr, never a verdict; what is in a key file is not repeated."""
    monkeypatch.chdir(site)
    assert main(["audit", "verify", *arguments]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.err.count("\n") == 1
    assert "postgresql" not in said.err
    assert not said.out


def test_a_damaged_head_is_said(
    site: Path, verify: Callable[..., Said], capsys: pytest.CaptureFixture[str]
) -> None:
    """Bytes of it changed, or missing: a verdict, or exit 2; never a traceback."""
    head = site / "audit.jsonl.state" / "head"
    good = head.read_bytes()
    for at in [*range(0, 60, 9), *range(60, len(good), 97)]:
        head.write_bytes(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
        assert verify()[0] in {0, 2, 12, 13, 14}
    for size in (0, 10, len(good) - 1, len(good) + 1):
        head.write_bytes(good[:size] + b"\0" * max(0, size - len(good)))
        assert verify()[0] == 2


def test_that_somebody_asked_is_in_the_log(site: Path, verify: Callable[..., Said]) -> None:
    """Of the configured log, with who it was; and with that event it is ok as well."""
    before = (site / "audit.jsonl").read_bytes().splitlines()
    assert verify()[0] == 0
    *_, last = (site / "audit.jsonl").read_bytes().splitlines()
    event = json.loads(last)
    assert event["metadata"]["event_code"] == "audit.queried"
    ours = event["unmapped"]["sealgate"]
    assert ours["command"] == "audit verify"
    assert ours["operator"]["uid"] == os.getuid()
    code, said = verify()
    assert (code, said["events"]) == (0, len(before) + 1)


def test_evidence_is_left_as_it_was_found(site: Path, verify: Callable[..., Said]) -> None:
    """Of a log that is not ok, and of files that are named, no byte changes, of the state neither."""
    path = site / "audit.jsonl"
    good = contents(site)
    assert verify(path)[0] == 0
    assert contents(site) == good
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
    found = contents(site)
    assert verify()[0] == 12
    assert contents(site) == found


def contents(site: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in site.rglob("*") if file.is_file()}


def test_it_runs_as_a_command_of_its_own(site: Path) -> None:
    """`python -m proxy audit verify` in the directory of the configuration."""
    command = [sys.executable, "-m", "proxy", "audit", "verify"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=site, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ok: ")
