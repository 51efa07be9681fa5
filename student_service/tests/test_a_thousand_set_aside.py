"""A bug in a handler sets aside a thousand messages, and an operator closes all by command."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from access_codes import codes
from access_codes.models import AccessCode, MailIntent
from admit_one.acts.models import Act
from admit_one.messaging import conf
from admit_one.messaging.inbox import Received
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside import keeping, retrying
from admit_one.messaging.testing import an_envelope, deliver, published
from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.models.functions import Now
from shared_contracts.events import AccessCodeCreated, UserSubscribed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

MANY = 1_000


@transaction.atomic  # a commit for each attempt would take a minute
def set_many_aside() -> None:
    """As the consumer does: store what fails, and retry it until it is dead."""
    for number in range(MANY):
        request = an_envelope(UserSubscribed, user_id=f"user-{number}")
        with pytest.raises(LookupError) as caught, transaction.atomic():
            deliver(request)
        message = Received.read(request.to_json(), queue="student_service.inbox")
        keeping.keep(message, caught.value, dead=False)
    for _ in conf.current().RETRY_DELAYS:
        SetAside.objects.update(next_attempt_at=Now() - timedelta(seconds=1))
        for _ in range(MANY):
            assert retrying.retry_one(conf.handlers(), lambda step: step())


@pytest.mark.timeout(600)
def test_a_group_is_listed_shown_rehearsed_replayed_and_closed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def output(*words: str) -> str:
        capsys.readouterr()
        call_command("set_aside", *words)
        return capsys.readouterr().out

    def make() -> str:
        raise LookupError("no word list for ada@example.com")

    with monkeypatch.context() as release:
        release.setattr(codes, "make", make)
        set_many_aside()

        # listed
        [_, group, example] = output("list").splitlines()
        name, state, count = group.split()[:3]
        assert (state, count) == ("dead", "1,000")
        assert group.endswith("LookupError in services._issue")
        assert example.endswith("user_subscribed: no word list for a…@e….com")
        # shown
        match = re.search(r"such as (\d+),", example)
        assert match is not None
        shown = output("show", match[1])
        assert "in make" in shown
        assert shown.count("LookupError: no word list") >= 1 + len(conf.current().RETRY_DELAYS)
        assert "example.com" not in shown
        # not fixed yet: a dry run shows that, and a replay stops after the first failure
        assert "1,000  would fail again" in output("replay", "--group", name, "--dry-run")
        with pytest.raises(CommandError, match="999 messages are unchanged"):
            output("replay", "--group", name)

    # fixed
    assert "1,000  would be applied" in output("replay", "--group", name, "--dry-run")
    assert AccessCode.objects.count() == MailIntent.objects.count() == 0
    assert "1,000  applied" in output("replay", "--group", name, "--reason", "fixed in release 7")

    # closed, and nothing lost
    assert output("list", "--state", "dead") == "nothing is set aside\n"
    created = [message for message in published() if isinstance(message.data, AccessCodeCreated)]
    assert AccessCode.objects.count() == MailIntent.objects.count() == len(created) == MANY
    acts = Act.objects.filter(result="applied", reason="fixed in release 7")
    assert acts.values("target").distinct().count() == MANY
    assert Act.objects.filter(result="failed").count() == 1
