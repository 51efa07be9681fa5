"""Several processes of each kind share the work, and nothing is done twice."""

from __future__ import annotations

from tests_integration.harness.deployment import Deployment
from tests_integration.harness.kinds import on_servers
from tests_integration.harness.payments import order

MORE = [
    *(f"{side}-relay#2" for side in ("payment", "student")),
    *(f"{side}-consumer#{number}" for side in ("payment", "student") for number in (2, 3)),
    "student-tasks#2",
]


@on_servers
def test_with_several_of_each_process_each_subscription_has_one_code_and_one_mail(
    deployment: Deployment,
) -> None:
    deployment.start(*MORE)

    accounts = deployment.accounts(deployment.subscribe(order() for _ in range(300)))

    assert len({account.subscription.access_code for account in accounts}) == 300
    assert {len(account.codes) for account in accounts} == {1}
    assert {len(account.mails) for account in accounts} == {1}
