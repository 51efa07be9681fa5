"""What a command, loop or page asks of kept tables reads the same few rows after 200,000."""

from __future__ import annotations

from contextlib import suppress
from io import StringIO

import pytest
from admit_one.messaging import metrics, retention
from admit_one.messaging.broker import doctor
from admit_one.messaging.models import OutboxMessage, SetAside
from admit_one.messaging.set_aside.groups import Choice
from admit_one.messaging.why import timeline
from django.core.management import CommandError, call_command

from tests import many_rows
from tests.operators.steps import LIST
from tools.system.plans import ROWS, TIMEOUT, large_reads, the_uuid

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(TIMEOUT)]

MIDDLE = ROWS // 2


def why(space):
    for row in (MIDDLE, ROWS, ROWS + 1):
        timeline.of(timeline.subject_of(the_uuid(space, row)))


def command(*arguments):
    with suppress(CommandError):
        call_command(*arguments, stdout=StringIO(), stderr=StringIO())


def a_few_batches():
    left = iter(range(3))
    return lambda: next(left, None) is not None


QUESTIONS = {
    "why, by subject": lambda: why(many_rows.ABOUT),
    "why, by an event that was sent": lambda: why(many_rows.SENT),
    "why, by an event that was handled": lambda: why(many_rows.HANDLED),
    "why, by an event that failed": lambda: why(many_rows.FAILED),
    "prune_messages --dry-run": lambda: command("prune_messages", "--dry-run"),
    "set_aside list": lambda: command("set_aside", "list"),
    "set_aside show": lambda: command("set_aside", "show", str(SetAside.objects.latest("id").id)),
    "set_aside replay": lambda: list(Choice(group="Cause 8").rows("replay")),
    "set_aside go-on, of no group": lambda: command(
        "set_aside", "go-on", "--group", "none", "--reason", "a test"
    ),
    "outbox metrics": lambda: list(metrics.outbox()),
    "set-aside metrics": lambda: list(metrics.set_aside()),
    "doctor": lambda: doctor._of_key("access_code_created", "student_service.events"),
    "relay": lambda: list(OutboxMessage.objects.due(closed={"x"})[:100]),
    "retries": lambda: list(SetAside.objects.due()[:1]),
    "pruning": lambda: retention.prune(go_on=a_few_batches()),
}

PAGES = {
    "all": LIST,
    "by state": f"{LIST}?state__exact=replayed",
    "by group": f"{LIST}?state__exact=dead&fingerprint__exact=Cause+7",
    "by type": f"{LIST}?type=subscription_cancelled",
    "suspects": f"{LIST}?suspect__exact=1",
    "search": f"{LIST}?q={the_uuid(many_rows.FAILED, MIDDLE)}",
    "the last page": f"{LIST}?p=100",
    "acts": "/acts/act/",
    "acts, by action": "/acts/act/?action=replay",
    "acts, search for an event": f"/acts/act/?q={the_uuid(many_rows.FAILED, MIDDLE)}",
    "acts, search for a person": "/acts/act/?q=operator+7",
}


def test_no_question_reads_more_for_rows_that_are_done(operator):
    many_rows.make()
    pages = {f"page: {name}": lambda url=url: operator.get(url) for name, url in PAGES.items()}

    assert large_reads({**pages, **QUESTIONS}) == {}
