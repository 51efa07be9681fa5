"""Several of each process share the work and never do it twice."""

from __future__ import annotations

from tests_integration.harness.house import House
from tests_integration.harness.kinds import on_servers
from tests_integration.harness.payments import order

MORE = [
    *(f"{side}-relay#2" for side in ("payment", "student")),
    *(f"{side}-consumer#{number}" for side in ("payment", "student") for number in (2, 3)),
    "student-tasks#2",
]


@on_servers
def test_two_relays_and_three_consumers_issue_one_code_and_one_mail_each(house: House) -> None:
    house.start(*MORE)

    accounts = house.accounts(house.subscribe(order() for _ in range(300)))

    assert len({account.subscription.access_code for account in accounts}) == 300
    assert {len(account.codes) for account in accounts} == {1}
    assert {len(account.mails) for account in accounts} == {1}
