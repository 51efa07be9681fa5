"""For tests that are about real servers alone."""

import pytest

on_servers = pytest.mark.parametrize("kind", ["servers"], indirect=True, scope="session")
