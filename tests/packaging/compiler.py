"""Whether this machine can compile: the tests of what comes of it are skipped elsewhere, as compiling is."""

from __future__ import annotations

import pytest

from proxy.compiling.compile import CannotCompile, prerequisites


def _missing() -> str:
    try:
        prerequisites()
    except CannotCompile as reason:
        return str(reason)
    return ""


needs_compiler = pytest.mark.skipif(bool(_missing()), reason=_missing() or "nothing is missing")
