from __future__ import annotations

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def a_quarter_of_an_hour_of_grace(settings: Settings) -> None:
    settings.RECONCILE_AFTER = 900
