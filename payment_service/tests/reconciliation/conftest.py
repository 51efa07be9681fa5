from __future__ import annotations

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def fifteen_minutes_of_grace(settings: Settings) -> None:
    settings.RECONCILE_AFTER = 900
