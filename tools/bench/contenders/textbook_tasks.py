"""The processes of the textbook way: what most tutorials build for the same journey.

    python -m tools.bench.contenders.textbook_tasks declare
    python -m tools.bench.contenders.textbook_tasks record COUNT
    python -m tools.bench.contenders.textbook_tasks payment-consumer     and student-consumer
    celery -A tools.bench.contenders.textbook_tasks:payment worker …     and student, and mail

The view saves a row and calls `delay`; a Celery task opens a connection and publishes; a consumer
hands each message to Celery; a task writes one row and calls `delay` for the next step.
There are no confirms and no inbox, so a crash loses or doubles messages.
In its favour: classic queues, and persistent database connections.
"""

from __future__ import annotations

import smtplib
import sys
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
from celery import Celery, signals
from kombu import Connection, Consumer, Exchange, Queue
from kombu.mixins import ConsumerMixin
from uuid_utils.compat import uuid7

from . import events
from .place import ContenderPlace

place = ContenderPlace.from_environment()


def app(name: str) -> Celery:
    made = Celery(name, broker=place.broker, set_as_current=False)
    made.conf.update(
        task_default_queue=f"{place.prefix}{name}.tasks",
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        broker_connection_retry_on_startup=True,
    )
    return made


payment, student, mail = app("payment"), app("student"), app("mail")

EXCHANGES = {
    name: Exchange(f"{place.prefix}{name}.events", type="direct", durable=True)
    for name in ("payment", "student")
}
INBOXES = {
    "student": Queue(f"{place.prefix}student.inbox", EXCHANGES["payment"], "user_subscribed"),
    "payment": Queue(f"{place.prefix}payment.inbox", EXCHANGES["student"], "access_code_created"),
}


@cache
def database(dsn: str) -> psycopg.Connection[Any]:
    """One connection per process, which its threads share."""
    return psycopg.connect(dsn, autocommit=True)


def publish(exchange: Exchange, message: events.Message) -> None:
    with Connection(place.broker) as connection:
        connection.Producer(serializer="json").publish(
            message, exchange=exchange, routing_key=message["type"], delivery_mode=2
        )


def subscribe(posted: Mapping[str, Any]) -> UUID:
    """What the view does."""
    subscription_id = uuid7()
    database(place.payment_database).execute(
        "INSERT INTO subscription (id, user_id, email, plan, amount, currency) "
        "VALUES (%s, %s, %s, %s, %s, %s)",
        [subscription_id, *(posted[name] for name in events.a_subscription(0))],
    )
    publish_user_subscribed.delay(events.user_subscribed(subscription_id, posted))
    return subscription_id


@payment.task(name="publish_user_subscribed")
def publish_user_subscribed(message: events.Message) -> None:
    publish(EXCHANGES["payment"], message)


@student.task(name="issue_access_code")
def issue_access_code(message: events.Message) -> None:
    code = events.new_code()
    data = message["data"]
    database(place.student_database).execute(
        "INSERT INTO access_code (subscription_id, user_id, plan, code) VALUES (%s, %s, %s, %s)",
        [message["subject"], data["user_id"], data["plan"], code],
    )
    send_mail.delay(data["email"], code)
    publish_access_code_created.delay(events.access_code_created(message, code))


@student.task(name="publish_access_code_created")
def publish_access_code_created(message: events.Message) -> None:
    publish(EXCHANGES["student"], message)


@payment.task(name="store_access_code")
def store_access_code(message: events.Message) -> None:
    database(place.payment_database).execute(
        "UPDATE subscription SET access_code = %s WHERE id = %s",
        [message["data"]["access_code"], message["subject"]],
    )


@mail.task(name="send_mail")
def send_mail(address: str, code: str) -> None:
    letter = EmailMessage()
    letter["From"], letter["To"] = "codes@example.com", address
    letter["Subject"] = "Your access code"
    letter.set_content(f"Your access code is {code}.\n")
    letter.add_alternative(f"<p>Your access code is <b>{code}</b>.</p>\n", subtype="html")
    server = urlsplit(place.mail)
    with smtplib.SMTP(server.hostname or "", server.port or 25) as smtp:
        smtp.send_message(letter)


class InboxConsumer(ConsumerMixin):
    """Hands each message to Celery."""

    def __init__(self, connection: Connection, queue: Queue, task: Any) -> None:
        self.connection = connection
        self._queue = queue
        self._task = task

    def get_consumers(self, consumer: Callable[..., Consumer], _channel: Any) -> list[Consumer]:
        return [consumer(queues=[self._queue], callbacks=[self.on_message], accept=["json"])]

    def on_message(self, body: events.Message, message: Any) -> None:
        self._task.delay(body)
        message.ack()


@signals.worker_ready.connect
def say_ready(sender: Any, **_: Any) -> None:
    print(f"textbook {sender.app.main} tasks ready", flush=True)


def record(count: int) -> None:
    """Do what the web process does for `count` requests, without HTTP."""
    for number in range(count):
        subscribe(events.a_subscription(number))


def declare() -> None:
    with Connection(place.broker) as connection:
        for inbox in INBOXES.values():
            inbox(connection).declare()


def consume(name: str) -> None:
    side = name.partition("-")[0]
    task = {"student": issue_access_code, "payment": store_access_code}[side]
    with Connection(place.broker) as connection:
        consumer = InboxConsumer(connection, INBOXES[side], task)
        print(f"textbook {name} ready", flush=True)
        consumer.run()


def main() -> None:
    name, *rest = sys.argv[1:]
    if name == "declare":
        declare()
    elif name == "record":
        record(int(rest[0]))
    else:
        consume(name)


if __name__ == "__main__":
    main()
