"""What operators see of messages that were set aside."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from shared_contracts.errors import Malformed, Transient
from shared_contracts.events import UserSubscribed
from shared_contracts.messaging import set_aside
from shared_contracts.messaging.inbox import Received
from shared_contracts.messaging.models import SetAside
from shared_contracts.messaging.testing import an_envelope

pytestmark = pytest.mark.django_db


@pytest.fixture
def row():
    message = Received.read(
        an_envelope(UserSubscribed).to_json(), queue="student_service.inbox", headers={"a": 1}
    )
    set_aside.keep(message, Transient("no room for ada@example.com"), dead=False, suspect=True)
    bad = Received.read(b"{", queue="student_service.inbox")
    set_aside.keep(bad, Malformed(), dead=True)
    return SetAside.objects.get(state="retrying")


def shown(capsys, *command) -> str:
    call_command("set_aside", *map(str, command))
    return str(capsys.readouterr().out)


def test_an_empty_list_says_so(capsys):
    assert shown(capsys, "list") == "nothing is set aside\n"


def test_the_list_groups_by_state_and_cause_and_names_an_example(capsys, row):
    lines = shown(capsys, "list").splitlines()

    assert len(lines) == 2
    assert lines[0].startswith("dead           1  since ")
    assert lines[1].startswith("retrying       1  since ")
    assert lines[1].endswith(f"Transient  (set_aside show {row.id})")


def test_one_message_is_shown_with_everything_but_its_body_and_addresses(capsys, row):
    text = shown(capsys, "show", row.id)

    assert "retrying (may have ended its consumer)" in text
    assert f"user_subscribed {row.event_id} from /payment_service" in text
    assert "Transient: no room for a…@e….com" in text
    assert "ada@example.com" not in text


def test_a_number_that_nothing_has_is_told():
    with pytest.raises(CommandError, match="set_aside list"):
        call_command("set_aside", "show", "99999")


def test_a_dry_run_of_the_topology_touches_no_broker(capsys, messaging):
    messaging(BROKER_URL="amqp://nobody@127.0.0.1:1//", BROKER_PREFIX="p.")

    call_command("declare_topology", "--dry-run")

    first, *bound, last = capsys.readouterr().out.splitlines()
    assert first == "exchange  p.student_service.events"
    assert (
        "queue     p.student_service.inbox  <-  p.payment_service.events user_subscribed" in bound
    )
    assert last == "queue     p.student_service.dead"


def test_declaring_on_a_broker_that_is_not_there_ends_with_the_reason_and_no_password(messaging):
    messaging(BROKER_URL="amqp://nobody:hunter2@127.0.0.1:1//")

    with pytest.raises(CommandError, match="the broker does not answer") as caught:
        call_command("declare_topology")

    assert "hunter2" not in str(caught.value)
