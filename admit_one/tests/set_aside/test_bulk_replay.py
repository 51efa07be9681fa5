"""Many messages replayed: in growing batches, stopped by their failures, continued after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from admit_one.acts.models import Act
from admit_one.contract.errors import Transient
from admit_one.messaging.inbox import Received
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside import bulk_replay, keeping
from admit_one.messaging.set_aside.bulk_replay import TooManyFailed
from admit_one.messaging.set_aside.replay_results import ReplayOrder
from admit_one.messaging.testing import an_envelope
from admit_one.processes.stopping import Stop

from tests import handlers
from tests.contract.events import UserSubscribed
from tests.models import Effect
from tests.processes import ROOT, database_url
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)

ADA = ReplayOrder(by="ada")


class Killed(BaseException):
    """As good as a kill: nothing of ours catches it."""


def keep(number, **changes):
    for _ in range(number):
        body = an_envelope(UserSubscribed, **changes).to_json()
        keeping.keep(Received.read(body, queue="q"), Transient("later"), dead=True)


def dead():
    return SetAside.objects.filter(state="dead")


def run(**options):
    return list(bulk_replay.replayed(bulk_replay.least_tried_first(dead()), ADA, Stop(), **options))


def fail_some(messages):
    if any(message.data.user_id == "bad" for message in messages):
        raise ValueError("bad")
    original(messages)


original = handlers.record


def test_every_message_is_applied_and_closed():
    keep(120)

    answers = run()

    assert {answer.verdict for answer in answers} == {"applied"}
    assert (Effect.objects.count(), dead().count()) == (120, 0)


def test_no_other_message_is_tried_if_the_first_fails(handle):
    def fail(messages):
        raise ValueError("still broken")

    handle(fail)
    keep(50)

    with pytest.raises(TooManyFailed, match="1 of a batch of 1 failed again"):
        run()

    assert Act.objects.count() == 1


def test_a_few_failures_among_many_do_not_stop_it(handle):
    handle(fail_some)
    keep(3)
    keep(1, user_id="bad")
    keep(30)

    answers = run()

    assert [answer.verdict for answer in answers].count("failed") == 1
    assert dead().count() == 1


def test_it_stops_when_a_fifth_of_a_batch_fails(handle):
    handle(fail_some)
    keep(3)
    keep(2, user_id="bad")
    keep(30)

    with pytest.raises(TooManyFailed, match="2 of a batch of 5 failed again"):
        run()

    assert Act.objects.count() == 1 + 2 + 5


def test_after_a_kill_the_command_tries_untried_messages_first(handle):
    handle(fail_some)
    keep(3)
    keep(1, user_id="bad")
    keep(40)
    ids = bulk_replay.least_tried_first(dead())
    steps = bulk_replay.replayed(ids, ADA, Stop())
    for _ in range(15):
        next(steps)

    def die(messages):
        raise Killed

    handle(die)
    with pytest.raises(Killed):
        next(steps)
    handle(fail_some)

    again = bulk_replay.least_tried_first(dead())
    answers = run()

    assert len(again) == 44 - 14
    # What failed, and what its process ended with, are the last.
    assert again[-2:] == [ids[3], ids[15]]
    assert [answer.id for answer in answers] == again
    assert Effect.objects.count() == 43
    assert list(dead().values_list("id", flat=True)) == [ids[3]]


def test_a_stop_ends_it_after_the_current_message(handle):
    stop = Stop()

    def stop_at_once(messages):
        stop.ask()
        original(messages)

    handle(stop_at_once)
    keep(10)

    answers = list(bulk_replay.replayed(bulk_replay.least_tried_first(dead()), ADA, stop))

    assert len(answers) == 1
    assert (Effect.objects.count(), dead().count()) == (1, 9)


def test_it_keeps_its_rate():
    keep(8)
    started = time.monotonic()

    run(rate=20)

    assert time.monotonic() - started >= 7 / 20


def test_a_message_closed_by_someone_else_is_left_alone():
    keep(3)
    ids = bulk_replay.least_tried_first(dead())
    SetAside.objects.filter(id=ids[1]).update(state="discarded")

    answers = list(bulk_replay.replayed(ids, ADA, Stop()))

    assert [answer.verdict for answer in answers] == ["applied", "skipped", "applied"]
    assert Effect.objects.count() == 2


def command(*words):
    return subprocess.Popen(
        [sys.executable, "-m", "django", "set_aside", *words],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "DATABASE_URL": database_url(),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_repeating_a_killed_replay_finishes_it_with_one_effect_per_message():
    keep(150)
    killed = command("replay", "--group", "Transient", "--rate", "200")
    eventually(lambda: Effect.objects.count() >= 20)
    killed.kill()
    killed.communicate(timeout=60)
    before = Effect.objects.count()

    finished = command("replay", "--group", "Transient")
    said = finished.communicate(timeout=60)[0]

    assert killed.returncode == -signal.SIGKILL
    assert before < 150
    assert (finished.returncode, Effect.objects.count(), dead().count()) == (0, 150, 0)
    assert f"{150 - before} applied" in " ".join(said.split())
    applied = Act.objects.filter(result="applied").values_list("target", flat=True)
    assert len(applied) == len(set(applied)) == 150


def test_a_stopped_replay_finishes_its_message_and_prints_how_to_continue():
    keep(100)
    stopped = command("replay", "--all", "--rate", "20")
    eventually(lambda: Effect.objects.count() >= 2)

    stopped.send_signal(signal.SIGTERM)
    said = stopped.communicate(timeout=60)[0]

    assert stopped.returncode == 3
    assert "of 100 messages replayed" in said
    assert Act.objects.filter(result="").count() == 0
