"""The service's wiring leaves out nothing of what its apps wire."""

from __future__ import annotations

from admit_one.wiring import NAMES
from subscriptions import wiring as of_subscriptions

from payment_service import wiring


def test_the_service_wires_all_that_subscriptions_wire() -> None:
    wired = {name for name in NAMES if hasattr(of_subscriptions, name)}

    assert wired <= vars(wiring).keys()
    assert all(each in wiring.KEYRING.sealed for each in of_subscriptions.KEYRING.sealed)
    assert wiring.KEYRING.lookup == of_subscriptions.KEYRING.lookup
    assert of_subscriptions.SCHEDULE.items() <= wiring.SCHEDULE.items()
    assert set(of_subscriptions.ERASERS) <= set(wiring.ERASERS)
    assert set(of_subscriptions.METRICS) <= set(wiring.METRICS)
