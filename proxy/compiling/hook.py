"""Compiles the hot modules when a wheel is built (compile.py), if they can be; sources are in it in any case."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from functools import cached_property
from pathlib import Path
from runpy import run_path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledModules(BuildHookInterface[Any]):
    def dependencies(self) -> list[str]:
        """The compiler's Python part, if there is use for it."""
        if self._cannot() is not None:
            return []
        extra: list[str] = self.metadata.core.optional_dependencies["compile"]
        return extra

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "standard":  # an editable installation is compiled by `make compile`
            return
        reason = self._cannot()
        if reason is None:
            self._directory = tempfile.mkdtemp(prefix="sealgate-wheel-")
            reason = self._compile(Path(self._directory), build_data)
        if reason is None:
            self.app.display_info("Sealgate: the hot modules are compiled.")
        elif self._steps["wanted"]() == "1":
            raise RuntimeError(f"SEALGATE_COMPILE=1, but {reason}")
        else:
            self.app.display_warning(f"Sealgate: a wheel of plain Python, slower: {reason}")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        shutil.rmtree(getattr(self, "_directory", ""), ignore_errors=True)

    @cached_property
    def _script(self) -> Path:
        return Path(self.root, "proxy", "compiling", "compile.py")

    @cached_property
    def _steps(self) -> dict[str, Any]:
        return run_path(str(self._script))

    def _cannot(self) -> str | None:
        """Why not to begin; None if it may succeed."""
        if self._steps["wanted"]() == "0":
            return "SEALGATE_COMPILE=0"
        try:
            self._steps["prerequisites"]()
        except self._steps["CannotCompile"] as reason:
            return str(reason)
        return None

    def _compile(self, directory: Path, build_data: dict[str, Any]) -> str | None:
        command = [sys.executable, str(self._script), "--into", str(directory)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        made = [path for path in directory.rglob("*") if path.is_file()]
        if ran.returncode or not made:
            return (ran.stderr or "nothing was said").strip()
        for path in made:
            build_data["force_include"][str(path)] = path.relative_to(directory).as_posix()
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        return None
