"""Schemathesis, which makes requests of the API's description, finds nothing wrong with the API."""

from __future__ import annotations

from pathlib import Path

import pytest
from access_codes.serializers import examples

from tests.api import Api
from tests.test_admission import issued
from tools.system import fuzzing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(fuzzing.SECONDS)]


def test_nothing_differs_from_the_description_whatever_is_sent(
    platform: Api, tmp_path: Path
) -> None:
    issued(subscription_id=examples.SUBSCRIPTION)
    for _ in range(3):
        issued()

    ran = fuzzing.fuzz(platform.key, tests=Path(__file__).parent, folder=tmp_path)

    assert ran.returncode == 0, ran.stdout
