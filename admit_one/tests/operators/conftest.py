"""Somebody who is logged in to the pages for operators."""

from __future__ import annotations

import pytest


@pytest.fixture
def operator(log_in, client):
    log_in("view_setaside", "work_on_setaside", "view_act")
    return client
