"""A message that fails costs its neighbours nothing; a release that fails all of them is held."""

from __future__ import annotations

import select
from datetime import timedelta

import pytest
from admit_one.contract.errors import Transient
from admit_one.messaging import conf
from admit_one.messaging.broker import connection as broker
from admit_one.messaging.broker import topology
from admit_one.messaging.inbox import Received
from admit_one.messaging.incoming import breaker, message_properties
from admit_one.messaging.incoming.consumer import BatchConsumer
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside import keeping
from admit_one.messaging.testing import an_envelope
from admit_one.processes import pulse
from admit_one.processes.stopping import Stop
from django.db.models.functions import Now

from tests import rabbit
from tests.consumer.steps import empty, handled, requests, send, states
from tests.contract.events import UserSubscribed
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_poison_message_affects_no_other_in_the_prefetch_window(start, prefix):
    process = start("consume_events").until_ready()
    send(prefix, *requests(1))
    eventually(lambda: handled() == 1)
    poison = an_envelope(UserSubscribed, user_id="fail")
    send(prefix, *requests(25), poison, *requests(25))
    eventually(lambda: handled() == 51 and SetAside.objects.count() == 1)

    assert process.stop()[0] == 0
    assert states() == {poison.id: "retrying"}
    assert empty(prefix)


def test_the_running_consumer_retries_a_message_set_aside(start, prefix):
    poison = an_envelope(UserSubscribed, user_id="fail")
    process = start("consume_events", TEST_RETRY_DELAYS="1,1").until_ready()
    send(prefix, poison)

    eventually(lambda: states() == {poison.id: "dead"})

    assert SetAside.objects.get().attempts == 2
    eventually(lambda: process.said("dead after attempt 2") == 1)


def test_heartbeats_and_pulse_continue_between_retries(prefix, handle):
    for request in requests(3):
        message = Received.read(request.to_json(), queue="student_service.inbox")
        keeping.keep(message, Transient("later"), dead=False)
    SetAside.objects.update(next_attempt_at=Now() - timedelta(seconds=1))
    connection, stop = broker.connect("test"), Stop()
    beats: list[float] = []
    came: list[int] = []

    def slow(messages):
        beats.append(pulse.pulse._beat_at)
        came.append(broker.frames(connection))
        rabbit.send(prefix, b"{}")  # the broker has something to say during each retry
        if len(beats) == 3:
            stop.ask()
        select.select([connection.connection.transport.sock], [], [], 10)

    handle(slow)
    try:
        BatchConsumer(connection, conf.handlers(), stop, breaker.Breaker()).run(lambda: None)
    finally:
        broker.close(connection)

    assert len(set(beats)) == len(set(came)) == 3


def ended_or_dead(process, event_id):
    return lambda: process.exit_code is not None or states().get(event_id) == "dead"


def test_a_message_that_kills_its_process_dies_and_the_others_are_handled(
    start, prefix, monkeypatch
):
    """As a supervisor would, start the consumer again each time that it has ended."""
    monkeypatch.setattr(topology, "DELIVERY_LIMIT", 3)  # of 20: the same rule in less time
    rabbit.delete(prefix)
    rabbit.declare(prefix)
    killer = an_envelope(UserSubscribed, user_id="kill")
    send(prefix, *requests(10), killer, *requests(10))
    starts = 0

    while states().get(killer.id) != "dead":
        starts += 1
        # The window in which its neighbours were, too, its deliveries, its tries, and the end.
        assert starts <= 1 + 4 + 2 + 1
        process = start("consume_events", TEST_RETRY_DELAYS="1,1")
        eventually(ended_or_dead(process, killer.id))

    eventually(lambda: handled() == 20)
    row = SetAside.objects.get()
    assert (row.suspect, row.attempts) == (True, 3)
    assert row.reason == "the process ended during attempts 1 and 2"
    assert empty(prefix)


def test_a_message_that_others_dead_letter_is_handled_and_not_a_suspect(start, prefix):
    inbox = f"{prefix}student_service.inbox"
    rejected, expired = requests(2)
    send(prefix, rejected)
    with rabbit.channel() as channel:
        eventually(lambda: (method := channel.basic_get(inbox)[0]) and reject(channel, method))
    rabbit.send(prefix, expired.to_json(), expiration="0")
    eventually(lambda: rabbit.depth(f"{prefix}student_service.dead") == 2)
    start("consume_events", TEST_RETRY_DELAYS="1,1")

    eventually(lambda: handled() == 2)

    assert dict(SetAside.objects.values_list("event_id", "suspect")) == {
        rejected.id: False,
        expired.id: False,
    }
    whys = [row.history[0]["reason"] for row in SetAside.objects.order_by("id")]
    assert sorted(whys) == sorted(
        message_properties.DEAD_LETTERED[r] for r in ("expired", "rejected")
    )


def reject(channel, method) -> bool:
    channel.basic_reject(method.delivery_tag, requeue=False)
    return True


@pytest.mark.parametrize("deaths", [None, "x", [], ["x"], [{}], [{"reason": {"a": 1}}], {"a": 1}])
def test_a_forged_record_of_deaths_makes_no_message_harmless(deaths):
    properties = {"application_headers": {"x-death": deaths}}

    assert message_properties.dead_lettered_by_others(properties) == ""


def test_a_release_that_fails_every_message_soon_stops_consuming(start, prefix):
    send(prefix, *requests(70, user_id="fail"))
    process = start("consume_events").until("holding the rest")
    first = SetAside.objects.count()
    tries = process.said("a message fails on request")
    eventually(lambda: process.said("a message fails on request") >= tries + 2)

    assert process.stop()[0] == 0
    assert first == SetAside.objects.count() == breaker.MOST_ALIKE
    eventually(lambda: rabbit.depth(f"{prefix}student_service.inbox") > 0)
    mended = start("consume_events", TEST_WIRING="tests.handlers").until_ready()
    eventually(lambda: handled() == 70 and empty(prefix))
    assert mended.stop()[0] == 0


def test_poison_messages_never_hold_up_good_ones(start, prefix):
    mixed = [m for _ in range(60) for m in (*requests(1, user_id="fail"), *requests(1))]
    process = start("consume_events").until_ready()
    send(prefix, *mixed)
    eventually(lambda: handled() == 60 and SetAside.objects.count() == 60)

    assert process.said("holding the rest") == 0
    assert process.stop()[0] == 0
