from __future__ import annotations

import pytest

from tests.proof.sessions import all_scripts
from tests.proof.streams import compare
from tests.proof.talk import Script
from tests.proof.twins import Twins


@pytest.mark.parametrize("script", all_scripts(), ids=lambda s: s.name)
def test_script(pair: Twins, script: Script) -> None:
    direct, through = pair.play(script)
    compare(direct, through)
