from __future__ import annotations

import pytest
from pytest_django import Settings

from tests.providers.stripe_steps import SECRET


@pytest.fixture(autouse=True)
def stripe_is_on(settings: Settings) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET]
