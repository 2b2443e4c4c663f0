"""The shop of tests/cli with sinks: served by a process of its own, the auditor beside it."""

from __future__ import annotations

from tests.cli.conftest import project

__all__ = ["project"]
