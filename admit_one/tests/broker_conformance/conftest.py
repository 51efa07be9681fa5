from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import RABBITMQ, Broker, require_rabbitmq


@pytest.fixture(params=["embedded", "rabbitmq"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    if request.param == "embedded":
        url = f"sqlite:///{tmp_path}/broker.sqlite3"
    else:
        url = RABBITMQ
        require_rabbitmq()
    broker = Broker(url)
    yield broker
    broker.clean()
