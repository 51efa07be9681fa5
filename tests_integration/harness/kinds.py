"""Restricts tests to real servers."""

import os

import pytest

on_servers = pytest.mark.parametrize("kind", ["servers"], indirect=True, scope="session")

with_clusters = pytest.mark.skipif(
    not os.environ.get("TEST_CLUSTERS"),
    reason="several servers beside the system need a machine for themselves: make test-all",
)
"""For tests that start clusters or poolers."""
