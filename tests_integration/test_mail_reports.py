"""What a mail provider reports to the student service is shown by the payment API in seconds."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests_integration.harness.deployment import SETTINGS, Deployment, deployed
from tests_integration.harness.payments import order
from tools import rest
from tools.system.eventually import eventually

from .conftest import place

LOGIN = "provider:a-long-secret-of-webhooks"
SOON = 5.0
"""Seconds that docs/mail.md promises as "within seconds"."""


@pytest.fixture
def deployment(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    student = {
        **SETTINGS["student_service"],
        "MAIL_WEBHOOKS": "postmark",
        "ANYMAIL": json.dumps({"WEBHOOK_SECRET": LOGIN}),
    }
    settings = {"student_service": student}
    with place(kind, request, tmp_path) as here, deployed(here, settings=settings) as deployment:
        deployment.start()
        yield deployment


def report(deployment: Deployment, message_id: str, login: str = LOGIN) -> int:
    """Report a hard bounce of this mail as Postmark does; returns the status of the answer."""
    bounce = {
        "RecordType": "Bounce",
        "Type": "HardBounce",
        "Details": "550 5.1.1 no such user",
        "Metadata": {"mail": message_id},
    }
    basic = base64.b64encode(login.encode()).decode()
    url = f"{deployment.system.student_url}/v1/webhooks/mail/postmark"
    return rest.call("POST", url, bounce, {"Authorization": f"Basic {basic}"}).status


def test_a_hard_bounce_is_shown_by_the_payment_api_in_five_seconds(deployment: Deployment) -> None:
    [account] = deployment.accounts(deployment.subscribe([order()]))
    [mail] = account.mails
    assert report(deployment, mail.message_id, "provider:wrong") == 401
    begun = time.monotonic()

    assert report(deployment, mail.message_id) == 204

    failure = eventually(
        lambda: deployment.payments.show(account.subscription.id).mail_failure, within=SOON
    )
    assert time.monotonic() - begun < SOON
    assert failure is not None
    assert failure["reason"] == "bounced: 550 5.1.1 no such user"
    listed = deployment.system.manage("student_service", "mails", "list", "--stopped")
    assert account.subscription.id in listed
