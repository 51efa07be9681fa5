"""The contenders."""

from __future__ import annotations

from .contender import (
    ACK_GAP,
    CONFIRM_GAP,
    CONSUMER,
    IN_HANDLER,
    MARK_GAP,
    PAYER,
    RELAY,
    Contender,
    Failed,
    Kill,
    ProgramCommand,
)

NEW_CODE = "access.codes:new_code:before"


def django(service: str, *arguments: str) -> ProgramCommand:
    return ProgramCommand(service, ("django", *arguments))


DJANGO = ("django==5.2.19", "psycopg[binary]==3.3.9")
CELERY = (*DJANGO, "celery==5.7.0", "kombu==5.7.0")
TABLES = (django("shop", "migrate", "--run-syncdb"), django("access", "migrate", "--run-syncdb"))

WORKER = ProgramCommand(
    "access", ("celery", "-A", "access.celery", "worker", "-c", "2", "-l", "INFO")
)
ONLY_A_LOG_LINE = Failed("a line in the consumer's log")
SHOVEL = "by hand, RabbitMQ's shovel"
DEAD_QUEUE = Failed("queue `access.dead`", queue="access.dead", replay=SHOVEL)


def consumer_kills(ack: str) -> dict[str, Kill]:
    return {IN_HANDLER: Kill(CONSUMER, NEW_CODE), ACK_GAP: Kill(CONSUMER, f"{ack}:before")}


def direct_kills(publish: str) -> dict[str, Kill]:
    """The kills of a contender without an outbox, whose web process publishes."""
    return {
        CONFIRM_GAP: Kill(PAYER, f"{publish}:before"),
        MARK_GAP: Kill(PAYER, f"{publish}:after"),
    }


CELERY_SENDS = "celery.app.base:Celery.send_task"
# Celery acks in the worker's main process, while the handler runs in a child. The row is committed
# when the manager's method returns, before the ack or (by default) after it.
CELERY_ACKS = {
    IN_HANDLER: Kill(CONSUMER, NEW_CODE),
    ACK_GAP: Kill(CONSUMER, "django.db.models.query:QuerySet.create:after"),
}
CELERY_LATE_ACKS = CELERY_ACKS | {
    ACK_GAP: Kill(CONSUMER, "django.db.models.query:QuerySet.get_or_create:after")
}
CELERY_KILLS = direct_kills(CELERY_SENDS)

DJANGO_RMQ = (*DJANGO, "django-rmq==1.0.5", "pika==1.4.4")
DJANGO_RMQ_KILLS = direct_kills("django_rmq.producer:Producer.publish") | consumer_kills(
    "pika.adapters.blocking_connection:BlockingChannel.basic_ack"
)
DJANGO_RMQ_SETUP = (*TABLES, django("access", "setup_rabbitmq_topology"))

CELERY_OUTBOX = (*CELERY, "django-celery-outbox==0.4.3")
CELERY_OUTBOX_KILLS = {
    CONFIRM_GAP: Kill(RELAY, f"{CELERY_SENDS}:before"),
    MARK_GAP: Kill(RELAY, f"{CELERY_SENDS}:after"),
}
CELERY_OUTBOX_PROCESSES = {
    # Frees rows that a dead relay had claimed; five minutes by default.
    RELAY: django("shop", "celery_outbox_relay", "--stale-timeout-seconds", "5"),
    CONSUMER: WORKER,
}
CELERY_OUTBOX_PENDING = "SELECT count(*) FROM celery_outbox"

OUTBOX_PATTERN = (*DJANGO, "django-outbox-pattern==3.2.1", "stomp.py==8.2.0")
OUTBOX_PATTERN_PROCESSES = {
    RELAY: django("shop", "publish"),
    CONSUMER: django(
        "access", "subscribe", "access.callbacks.issue_access_code", "/topic/order.paid", "access"
    ),
}
OUTBOX_PATTERN_KILLS = {
    CONFIRM_GAP: Kill(RELAY, "django_outbox_pattern.producers:Producer.send:before"),
    MARK_GAP: Kill(RELAY, "django_outbox_pattern.producers:Producer.send:after"),
    **consumer_kills("django_outbox_pattern.payloads:Payload.ack"),
}
OUTBOX_PATTERN_PENDING = "SELECT count(*) FROM published WHERE status = 1"
OUTBOX_PATTERN_FAILED = Failed("queue `DLQ.access`", queue="DLQ.access", replay=SHOVEL)

ADMIT_ONE = Contender(
    "admit-one", "", DJANGO, ("common", "admit_one"),
    (*TABLES, django("shop", "declare_topology"), django("access", "declare_topology")),
    {RELAY: django("shop", "relay_outbox"), CONSUMER: django("access", "consume_events")},
    {
        CONFIRM_GAP: Kill(RELAY, "admit_one.messaging.outgoing.publisher:Publisher.publish:before"),
        MARK_GAP: Kill(RELAY, "admit_one.messaging.outgoing.publisher:Publisher.publish:after"),
        **consumer_kills("amqp.channel:Channel.basic_ack"),
    },
    Failed(
        "a set-aside row, retried by itself", table="SELECT count(*) FROM messaging_set_aside",
        replay="`manage.py set_aside replay --all --state retrying`",
        command=django(
            "access", "set_aside", "replay", "--all", "--state", "retrying", "--by", "me"
        ),
    ),
    "SELECT count(*) FROM messaging_outbox WHERE published_at IS NULL",
    queue="access.inbox", checkout=("admit_one[messaging]",),
)  # fmt: skip

FASTSTREAM = (
    "faststream[rabbit,cli]==0.7.8", "faststream-outbox[asyncpg]==0.19.0", "aio-pika==10.2.1",
    "sqlalchemy==2.1.9", "asyncpg==0.32.0",
)  # fmt: skip
FASTSTREAM_TABLES = (
    ProgramCommand("shop", ("shop.models",)),
    ProgramCommand("access", ("access.models",)),
)
FASTSTREAM_PROCESSES = {
    RELAY: ProgramCommand("shop", ("faststream", "run", "shop.app:app")),
    CONSUMER: ProgramCommand("access", ("faststream", "run", "access.app:app")),
}
FASTSTREAM_KILLS = {
    CONFIRM_GAP: Kill(RELAY, "faststream.rabbit.publisher.usecase:RabbitPublisher._publish:before"),
    MARK_GAP: Kill(RELAY, "faststream_outbox.client:OutboxClient.delete_with_lease:before"),
    **consumer_kills("faststream.rabbit.message:RabbitMessage.ack"),
}
FASTSTREAM_PENDING = "SELECT count(*) FROM outbox"

CONTENDERS = (
    Contender(
        "Celery", "", CELERY, ("common", "celery"), TABLES, {CONSUMER: WORKER},
        CELERY_KILLS | CELERY_ACKS, ONLY_A_LOG_LINE,
    ),
    Contender(
        "Celery", "confirms, late acks, idempotent task, dead-letter queue", CELERY,
        ("common", "idempotent", "celery", "celery_options"), TABLES, {CONSUMER: WORKER},
        CELERY_KILLS | CELERY_LATE_ACKS, DEAD_QUEUE,
    ),
    Contender(
        "Kombu", "", CELERY, ("common", "kombu"), TABLES,
        {CONSUMER: ProgramCommand("access", ("access.consumer",))},
        direct_kills("kombu.messaging:Producer.publish")
        | consumer_kills("kombu.message:Message.ack"),
        ONLY_A_LOG_LINE,
    ),
    Contender(
        "django-rmq", "", DJANGO_RMQ, ("common", "django_rmq"), DJANGO_RMQ_SETUP,
        {CONSUMER: django("access", "start_consumers")}, DJANGO_RMQ_KILLS, DEAD_QUEUE,
    ),
    Contender(
        "django-rmq", "idempotent handler", DJANGO_RMQ,
        ("common", "idempotent", "django_rmq", "django_rmq_options"), DJANGO_RMQ_SETUP,
        {CONSUMER: django("access", "start_consumers")}, DJANGO_RMQ_KILLS, DEAD_QUEUE,
    ),
    Contender(
        "django-celery-outbox", "", CELERY_OUTBOX, ("common", "celery", "django_celery_outbox"),
        TABLES, CELERY_OUTBOX_PROCESSES, CELERY_OUTBOX_KILLS | CELERY_ACKS, ONLY_A_LOG_LINE,
        CELERY_OUTBOX_PENDING,
    ),
    Contender(
        "django-celery-outbox", "confirms, late acks, idempotent task, dead-letter queue",
        CELERY_OUTBOX,
        (
            "common", "idempotent", "celery", "celery_options", "django_celery_outbox",
            "django_celery_outbox_options",
        ),
        TABLES, CELERY_OUTBOX_PROCESSES,
        CELERY_OUTBOX_KILLS | CELERY_LATE_ACKS, DEAD_QUEUE, CELERY_OUTBOX_PENDING,
    ),
    Contender(
        "django-outbox-pattern", "", OUTBOX_PATTERN, ("common", "django_outbox_pattern"), TABLES,
        OUTBOX_PATTERN_PROCESSES, OUTBOX_PATTERN_KILLS, OUTBOX_PATTERN_FAILED,
        OUTBOX_PATTERN_PENDING,
    ),
    Contender(
        "django-outbox-pattern", "persistent messages", OUTBOX_PATTERN,
        ("common", "django_outbox_pattern", "django_outbox_pattern_options"), TABLES,
        OUTBOX_PATTERN_PROCESSES, OUTBOX_PATTERN_KILLS, OUTBOX_PATTERN_FAILED,
        OUTBOX_PATTERN_PENDING,
    ),
    Contender(
        "FastStream, faststream-outbox", "", FASTSTREAM, ("common", "faststream"),
        FASTSTREAM_TABLES, FASTSTREAM_PROCESSES, FASTSTREAM_KILLS, ONLY_A_LOG_LINE,
        FASTSTREAM_PENDING,
    ),
    Contender(
        "FastStream, faststream-outbox",
        "persistent messages, idempotent handler, dead-letter queue", FASTSTREAM,
        ("common", "faststream", "faststream_options"), FASTSTREAM_TABLES,
        FASTSTREAM_PROCESSES, FASTSTREAM_KILLS, DEAD_QUEUE, FASTSTREAM_PENDING,
    ),
    ADMIT_ONE,
)  # fmt: skip
