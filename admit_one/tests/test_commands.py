"""`declare_topology`: what operators see of it."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command


def test_a_dry_run_of_the_topology_touches_no_broker(capsys, messaging):
    messaging(BROKER_URL="amqp://nobody@127.0.0.1:1//", BROKER_PREFIX="p.")

    call_command("declare_topology", "--dry-run")

    first, *bound, last = capsys.readouterr().out.splitlines()
    assert first == "exchange  p.student_service.events"
    assert (
        "queue     p.student_service.inbox  <-  p.payment_service.events user_subscribed" in bound
    )
    assert last == "queue     p.student_service.dead"


def test_declaring_without_a_broker_fails_with_the_reason_and_no_password(messaging):
    messaging(BROKER_URL="amqp://nobody:hunter2@127.0.0.1:1//")

    with pytest.raises(CommandError, match="the broker does not answer") as caught:
        call_command("declare_topology")

    assert "hunter2" not in str(caught.value)
