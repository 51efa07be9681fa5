"""After fifty equal failures in a row the next message is held, until it works or `go-on`."""

from __future__ import annotations

import importlib
from datetime import timedelta

import pytest
from admit_one.acts.models import Act
from admit_one.messaging.incoming.breaker import MOST_ALIKE, Breaker
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside import acts
from admit_one.messaging.set_aside.error_record import fingerprint_of
from django.core.management import call_command
from django.db.models.functions import Now

from tests.consumer.steps import empty, requests, send
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)

ERROR = ValueError("no such plan")


def held(breaker, times=MOST_ALIKE):
    for _ in range(times):
        assert not breaker.opens(ERROR)
    return breaker.opens(ERROR)


def test_fifty_similar_failures_hold_the_next_until_a_success():
    breaker = Breaker()

    assert held(breaker)
    assert breaker.is_open
    breaker.close()
    assert not breaker.is_open


def test_go_on_covers_one_cause_for_one_hour():
    breaker = Breaker()
    acts.go_on("TypeError", by="ada", reason="they are bad")
    assert held(breaker)

    acts.go_on("ValueError", by="ada", reason="they are bad")
    assert not breaker.opens(ERROR)
    assert not breaker.is_open

    Act.objects.update(at=Now() - timedelta(hours=1, seconds=1))
    assert breaker.opens(ERROR)


def test_a_held_consumer_prints_the_command_that_resumes_it(start, prefix):
    send(prefix, *requests(70, user_id="fail"))
    process = start("consume_events").until("holding the rest")
    [line] = [line for line in process.lines if "holding the rest" in line]
    words = line.partition("`manage.py set_aside go-on ")[2].split()
    assert words[0] == "--group"

    call_command("set_aside", "go-on", "--group", words[1], "--reason", "they are bad indeed")
    eventually(lambda: SetAside.objects.count() == 70 and empty(prefix))

    assert process.said("messages are handled again") == 0
    assert process.stop()[0] == 0


def test_a_library_in_a_folder_named_as_the_service_is_ignored(tmp_path, monkeypatch):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "some_library.py").write_text("def fail():\n    raise KeyError('x')\n")
    monkeypatch.syspath_prepend(str(tmp_path / "tests"))
    library = importlib.import_module("some_library")

    try:
        library.fail()
    except KeyError as error:
        where = fingerprint_of(error)

    assert where == "KeyError in test_breaker." + (
        "test_a_library_in_a_folder_named_as_the_service_is_ignored"
    )
