"""The Celery app of a service: for mail, schedules and sweeps, never for talking to other services.

A task is only a wake-up, and reads its work from the database. So tasks may be lost, repeated or
late; they expire, their queue is short, and they have no arguments.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from celery import Celery, bootsteps, concurrency, signals
from celery.utils import nodenames
from django.conf import settings
from kombu import Exchange, Queue

from admit_one.messaging.broker import connection as broker
from admit_one.processes.stopping import LAST_RESORT

from . import schedule
from .beat import PatientScheduler
from .runs import stopping
from .worker_consumer import PatientConsumer
from .worker_pulse import Pulsing, watch_tasks

POOLS = {"celery.concurrency.thread": "threads", "celery.concurrency.solo": "solo"}
"""Pools whose tasks run in the worker's own process, by their modules."""

SHUTDOWN_TIMEOUT = 0.25
"""Seconds for each answer of the broker while the worker shuts down."""


def make_app(service: str, *, at_once: int = 1) -> Celery:
    """The Celery app of `service`: its own queue, no results, JSON only, every wait bounded.

    Its tasks are those of the wiring's `SCHEDULE`, and pruning. A worker runs `at_once` tasks
    concurrently.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"{service}.settings")
    # Celery would run all of Django's checks, importing every view, and drop what they find.
    os.environ.setdefault("CELERY_SKIP_CHECKS", "1")
    app = Celery(service, set_as_current=True)
    app.conf.update(_configuration(service), worker_concurrency=at_once)
    app.steps["consumer"].add(BoundedShutdown)
    app.steps["consumer"].add(Pulsing)

    @signals.import_modules.connect(sender=app, weak=False)
    def _wire(**_: Any) -> None:
        schedule.add_tasks(app)

    return app


class BoundedShutdown(bootsteps.StartStopStep):
    """Bounds the wait for a silent broker: Celery's shutdown awaits an answer in many steps.

    At most an ack is lost, and a repeated wake-up does no harm.
    """

    # So that it is stopped before them.
    requires = ("celery.worker.consumer.control:Control", "celery.worker.consumer.tasks:Tasks")

    def stop(self, parent: Any) -> None:
        if parent.task_consumer is not None:
            # The pool has stopped: what still arrives stays unacked, and is requeued.
            parent.task_consumer.on_message = lambda _: None
        events = getattr(parent.event_dispatcher, "connection", None)
        for connection in (parent.connection, events):
            transport = getattr(getattr(connection, "_connection", None), "transport", None)
            sock = getattr(transport, "sock", None)
            if sock is not None:  # the embedded broker has none, and is never silent
                sock.settimeout(SHUTDOWN_TIMEOUT)


def _configuration(service: str) -> dict[str, Any]:
    queue = f"{settings.MESSAGING.get('BROKER_PREFIX', '')}{service}.wake_ups"
    nodes = broker.shuffled(settings.TASKS_BROKER_URL)  # Kombu tries them in turn
    return {
        # Not `broker_url`: Celery's command line silently sets that from BROKER_URL, even over
        # CELERY_BROKER_URL.
        "broker_read_url": nodes,
        "broker_write_url": nodes,
        "broker_transport_options": broker.transport_options(
            settings.TASKS_BROKER_URL, f"{service} tasks {os.getpid()}"
        ),
        "broker_use_ssl": broker.tls(settings.TASKS_BROKER_URL),
        "broker_connection_timeout": broker.CONNECT_TIMEOUT,
        "broker_heartbeat": broker.HEARTBEAT,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # A queue whose node or majority is away answers "not found": the worker waits for it, too.
        "broker_channel_error_retry": True,
        # Never Celery's default queue: two services on one vhost would steal each other's tasks.
        "task_queues": [
            Queue(
                queue,
                Exchange(queue, type="direct", durable=True),
                routing_key=queue,
                durable=True,
                # While no worker runs, a few wake-ups are as good as a million.
                queue_arguments={
                    # It survives a node of a cluster. Said here, whatever the virtual host's
                    # default is, so that Celery sets no prefetch that such a queue refuses.
                    "x-queue-type": "quorum",
                    "x-max-length": 1_000,
                    "x-message-ttl": schedule.WAKE_UP_SECONDS * 1_000,
                },
            )
        ],
        "task_default_queue": queue,
        "task_default_exchange": queue,
        "task_default_routing_key": queue,
        "task_create_missing_queues": False,
        "task_publish_retry": False,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        # Threads, for our metrics are in this process, and its health port reports them.
        "worker_pool": "threads",
        "worker_consumer": f"{PatientConsumer.__module__}:{PatientConsumer.__name__}",
        # Whoever may write to the virtual host could end all workers.
        "worker_enable_remote_control": False,
        # Our tasks end by themselves, and running one twice does no harm.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_soft_shutdown_timeout": 8.0,
        "beat_scheduler": f"{PatientScheduler.__module__}:{PatientScheduler.__name__}",
        "timezone": "UTC",
    }


@signals.setup_logging.connect
def _keep_the_services_logging(**_: Any) -> None:
    """Keep Django's LOGGING: with a receiver here, Celery sets up none of its own."""


@signals.celeryd_init.connect
def _name_it(instance: Any, options: Mapping[str, Any], **_: Any) -> None:
    """Name each worker uniquely: by default, those of one host share a name, and conflict."""
    if not options.get("hostname"):
        queue = instance.app.conf.task_default_queue
        instance.hostname = nodenames.nodename(f"{queue}.{os.getpid()}", socket.gethostname())


@signals.worker_init.connect
def _start_reporting(sender: Any, **_: Any) -> None:
    # Imported here, because they need Django's apps to be ready.
    from admit_one.messaging import conf as messaging  # noqa: PLC0415
    from admit_one.processes import garbage, health_port  # noqa: PLC0415
    from admit_one.processes.announcer import describe  # noqa: PLC0415
    from admit_one.processes.unsafe_settings import warn_of_unsafe_settings  # noqa: PLC0415
    from admit_one.sealing import key_watch  # noqa: PLC0415

    _refuse_pool(sender.pool_cls)
    conf, service = sender.app.conf, sender.app.main
    port = messaging.current()
    health_port.serve(service, "tasks", address=port.HEALTH_ADDRESS, port=port.HEALTH_PORT)
    watch_tasks(
        schedule.WAKE_UP_SECONDS
        + 3 * min(entry["schedule"] for entry in conf.beat_schedule.values())
    )
    every = ", ".join(f"{name} every {e['schedule']} s" for name, e in conf.beat_schedule.items())
    does = f"works on {conf.task_default_queue}: {every}"
    _say(describe(f"{service} tasks", does, conf.broker_read_url))
    warn_of_unsafe_settings()
    key_watch.guard(f"{service} tasks")
    garbage.collect_rarely()
    _end_when_asked()
    _beat_ends_with(os.getpid())


def _refuse_pool(pool: Any) -> None:
    """Raises `SystemExit` for a pool whose tasks would be counted where nobody reads it."""
    module = concurrency.get_implementation(pool).__module__
    if module not in POOLS:
        sys.exit(f"--pool: expected {' or '.join(POOLS.values())}, got {module.rpartition('.')[2]}")


@signals.worker_ready.connect
def _say_ready(sender: Any, **_: Any) -> None:
    _say(f"{sender.app.main} tasks ready")


def _end_when_asked() -> None:
    """End the tasks as soon as the worker is asked to stop, and the worker not long after.

    Celery asks from within a signal's handler. The thread that the signal interrupted may hold any
    lock, so the handler takes none: it writes a byte, and a thread of its own does the rest.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    @signals.worker_shutting_down.connect(weak=False)
    def _asked_to_stop(**_: Any) -> None:
        with suppress(BlockingIOError):  # asked so often already that the pipe is full
            os.write(writer, b"\0")

    def end() -> None:
        os.read(reader, 1)
        stopping.set()
        # Celery shuts down in many steps, each of which may wait for a silent broker.
        time.sleep(LAST_RESORT)
        _say("asked to stop, but something does not answer: exiting now")
        os._exit(0)

    threading.Thread(target=end, name="end", daemon=True).start()


def _beat_ends_with(worker: int) -> None:
    """Let the embedded beat die with its worker, on Linux even after `kill -9`."""

    @signals.beat_embedded_init.connect(weak=False)
    def _die_with_parent(**_: Any) -> None:
        # Its schedule is in memory, so there is nothing to save, and no broker to wait for.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if sys.platform == "linux":
            pr_set_pdeathsig = 1
            ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != worker:  # it died before the call
            os._exit(1)


def _say(line: str) -> None:
    """Print to standard error, whatever the log level: supervisors wait for these lines."""
    print(line, file=sys.stderr, flush=True)
