"""Real clients against a sealed table and its plain twin."""

import pytest

pytest.register_assert_rewrite("tests.clients.twins")
