"""rsyslogd, a real receiver of syslog: out of Debian's packages, into .tools/, without installing anything.

`python -m tests.auditor.rsyslog` (`make tools`) gets it; apt verifies what it downloads. One that is installed is used
as it is. Where there is none, and no apt to get it from, tests that need it fail in CI and are skipped elsewhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.integration.certificates import Certificates

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".tools" / "rsyslog"
PACKAGES = ("rsyslog", "rsyslog-openssl", "libestr0", "libfastjson4")


def installed() -> Path | None:
    """The root of the tree that has usr/sbin/rsyslogd and its modules."""
    for root in (HOME, Path("/")):
        if (root / "usr/sbin/rsyslogd").exists() and modules(root, "lmnsd_ossl.so"):
            return root
    return None


def modules(root: Path, name: str = "lmnet.so") -> Path | None:
    """Where its modules are."""
    for found in root.glob(f"usr/lib/*/rsyslog/{name}"):
        return found.parent
    return None


def obtain() -> str:
    """Get it. Returns what was done; raises RuntimeError with the reason why not."""
    if installed():
        return f"{installed()} has it"
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise RuntimeError("there is no apt-get: install rsyslog and rsyslog-openssl")
    with tempfile.TemporaryDirectory() as directory:
        try:
            _run("apt-get", "download", *PACKAGES, cwd=directory)
        except RuntimeError:  # the lists are not there, or old
            _run("apt-get", "update", "-qq", cwd=directory)
            _run("apt-get", "download", *PACKAGES, cwd=directory)
        target = Path(directory) / "tree"
        for package in sorted(Path(directory).glob("*.deb")):
            _run("dpkg-deb", "--extract", str(package), str(target), cwd=directory)
        HOME.parent.mkdir(exist_ok=True)
        shutil.rmtree(HOME, ignore_errors=True)
        shutil.copytree(target, HOME, symlinks=True)
    return f"installed into {HOME.relative_to(ROOT)}"


def _run(*command: str, cwd: str) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{command[0]} {command[1]} exited with {done.returncode}")


def required() -> Path:
    """Its tree; else the test is skipped, and fails in CI."""
    root = installed()
    if root is not None:
        return root
    try:
        obtain()
    except (RuntimeError, OSError, subprocess.SubprocessError) as missing:
        if os.environ.get("CI"):
            pytest.fail(f"rsyslog is not to be had: {missing}")
        pytest.skip(f"rsyslog is not to be had: {missing} (make tools)")
    found = installed()
    assert found is not None
    return found


@dataclass(slots=True)
class Rsyslogd:
    """One in the foreground. What it receives is a line of JSON each: its own reading of the message, and the raw text."""

    directory: Path
    port: int
    tls: Certificates | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def received(self) -> Path:
        return self.directory / "received.jsonl"

    def start(self) -> None:
        root = required()
        configuration = self.directory / "rsyslog.conf"
        configuration.write_text(self._configuration())
        found = modules(root)
        assert found is not None
        libraries = ":".join(
            str(p) for p in (*root.glob("usr/lib/*-linux-gnu"), *root.glob("lib/*"))
        )
        environment = dict(os.environ)
        if root != Path("/"):
            environment["LD_LIBRARY_PATH"] = libraries
        with (self.directory / "rsyslogd.log").open("ab") as diagnostics:
            self._process = subprocess.Popen(
                [str(root / "usr/sbin/rsyslogd"), "-n", "-f", str(configuration), "-M", str(found),
                 "-i", str(self.directory / "rsyslogd.pid")],
                env=environment, stdout=diagnostics, stderr=diagnostics,
            )  # fmt: skip
        self._wait()

    def stop(self) -> None:
        """SIGTERM: it writes what it has, and ends."""
        self._end(kill=False)

    def kill(self) -> None:
        """What is in its memory is gone."""
        self._end(kill=True)

    def _end(self, *, kill: bool) -> None:
        if self._process is not None:
            self._process.kill() if kill else self._process.terminate()
            self._process.wait(20)
            self._process = None
        (self.directory / "rsyslogd.pid").unlink(missing_ok=True)

    def _wait(self) -> None:
        """Until it listens. Nothing is said on the port: that would be a message."""
        wanted = f":{self.port:04X} "
        deadline = time.monotonic() + 20
        while wanted not in Path("/proc/net/tcp").read_text():
            assert self._process is not None
            assert self._process.poll() is None, (self.directory / "rsyslogd.log").read_text()
            assert time.monotonic() < deadline, "rsyslogd does not listen"
            time.sleep(0.02)

    def _configuration(self) -> str:
        tls, driver = "", ""
        if self.tls is not None:
            tls = (
                f'defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{self.tls.ca}" '
                f'defaultNetstreamDriverCertFile="{self.tls.cert}" '
                f'defaultNetstreamDriverKeyFile="{self.tls.key}"'
            )
            driver = 'StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon"'
        return f"""
global(workDirectory="{self.directory}" maxMessageSize="4m" {tls})
module(load="imtcp" {driver})
input(type="imtcp" address="127.0.0.1" port="{self.port}")
template(name="read" type="list" option.jsonf="on") {{
  property(outname="app" name="app-name" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="id" name="msgid" format="jsonf")
  property(outname="pri" name="pri" format="jsonf")
  property(outname="data" name="structured-data" format="jsonf")
  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="msg" name="msg" format="jsonf")
}}
action(type="omfile" file="{self.received}" template="read" fileCreateMode="0600")
"""


if __name__ == "__main__":
    try:
        print(f"rsyslog: {obtain()}")
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(f"rsyslog is not to be had: {error}")
