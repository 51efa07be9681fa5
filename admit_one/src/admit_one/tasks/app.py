"""The Celery app of a service: mail, schedules and sweeps, never a way to another service.

A task is only a wake-up: rows are the truth, and every task looks at rows. So wake-ups may be
lost, repeated or late; they expire, their queue is short, and they carry no arguments.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Mapping
from typing import Any

from celery import Celery, bootsteps, signals
from celery.exceptions import CPendingDeprecationWarning
from celery.utils import nodenames
from django.conf import settings
from kombu import Exchange, Queue

from admit_one.messaging.broker import connection as broker
from admit_one.processes.stopping import LAST_RESORT

from . import schedule
from .runs import stopping
from .worker_pulse import Pulsing, watch_tasks

GOODBYE_SECONDS = 0.25
"""For each answer of the broker once the worker is leaving."""


def make_app(service: str, *, at_once: int = 1) -> Celery:
    """The Celery app of `service`: its own queue, no results, JSON only, every wait bounded.

    Its tasks are those of the wiring's `SCHEDULE`, and the pruning. A worker does `at_once` tasks
    at the same time.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"{service}.settings")
    # Celery would run all of Django's checks, importing every view, and drop what they find.
    os.environ.setdefault("CELERY_SKIP_CHECKS", "1")
    app = Celery(service, set_as_current=True)
    app.conf.update(_configuration(service), worker_concurrency=at_once)
    app.steps["consumer"].add(BriefGoodbye)
    app.steps["consumer"].add(Pulsing)

    @signals.import_modules.connect(sender=app, weak=False)
    def _wire(**_: Any) -> None:
        schedule.add_tasks(app)

    return app


class BriefGoodbye(bootsteps.StartStopStep):
    """Stop waiting for a silent broker: Celery says goodbye in many steps and awaits each answer.

    What is lost with it is an ack at most, and a wake-up that comes twice does no harm.
    """

    # So that it is stopped before them.
    requires = ("celery.worker.consumer.control:Control", "celery.worker.consumer.tasks:Tasks")

    def stop(self, parent: Any) -> None:
        if parent.task_consumer is not None:
            # What still comes would be given to a pool that has stopped: unacked, it goes back.
            parent.task_consumer.on_message = lambda _: None
        events = getattr(parent.event_dispatcher, "connection", None)
        for connection in (parent.connection, events):
            transport = getattr(getattr(connection, "_connection", None), "transport", None)
            sock = getattr(transport, "sock", None)
            if sock is not None:  # the embedded broker has none, and never keeps one waiting
                sock.settimeout(GOODBYE_SECONDS)


def _configuration(service: str) -> dict[str, Any]:
    queue = f"{settings.MESSAGING.get('BROKER_PREFIX', '')}{service}.tasks"
    return {
        # Not `broker_url`: Celery's command line takes our BROKER_URL for it, without a word, and
        # writes it over CELERY_BROKER_URL too. So this setting has a name of its own.
        "broker_read_url": settings.TASKS_BROKER_URL,
        "broker_write_url": settings.TASKS_BROKER_URL,
        "broker_transport_options": broker.transport_options(
            settings.TASKS_BROKER_URL, f"{service} tasks {os.getpid()}"
        ),
        "broker_use_ssl": broker.tls(settings.TASKS_BROKER_URL),
        "broker_connection_timeout": broker.CONNECT_TIMEOUT,
        "broker_heartbeat": broker.HEARTBEAT,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # Never Celery's default queue: two services on one vhost would steal each other's tasks.
        "task_queues": [
            Queue(
                queue,
                Exchange(queue, type="direct", durable=True),
                routing_key=queue,
                durable=True,
                # While no worker runs, a few wake-ups say as much as a million.
                queue_arguments={
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
        # Late answers only cost a task that looks at rows twice; ours end by themselves.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_soft_shutdown_timeout": 8.0,
        # In memory: the schedule is code, and every entry runs at the start anyway.
        "beat_scheduler": "celery.beat:Scheduler",
        "timezone": "UTC",
    }


# Ours acknowledge late, end by themselves and may run twice: nothing is to be cancelled.
warnings.filterwarnings("ignore", category=CPendingDeprecationWarning, module=r"celery\.worker")


@signals.setup_logging.connect
def _keep_the_services_logging(**_: Any) -> None:
    """Django's LOGGING holds; with a receiver here Celery sets up none of its own."""


@signals.celeryd_init.connect
def _name_it(instance: Any, options: Mapping[str, Any], **_: Any) -> None:
    """Celery's default name is the machine's, and two workers of one name lock each other out."""
    if not options.get("hostname"):
        queue = instance.app.conf.task_default_queue
        instance.hostname = nodenames.nodename(f"{queue}.{os.getpid()}", socket.gethostname())


@signals.worker_init.connect
def _say_what_it_is(sender: Any, **_: Any) -> None:
    # They need Django's apps, which are ready by now.
    from admit_one.messaging import conf as messaging  # noqa: PLC0415
    from admit_one.processes import health_port  # noqa: PLC0415
    from admit_one.processes.description import describe  # noqa: PLC0415
    from admit_one.sealing import canaries  # noqa: PLC0415

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
    canaries.guard()
    _beat_ends_with(os.getpid())


@signals.worker_ready.connect
def _say_ready(sender: Any, **_: Any) -> None:
    _say(f"{sender.app.main} tasks ready")


@signals.worker_shutting_down.connect
def _stop_tasks(**_: Any) -> None:
    stopping.set()
    # Celery says goodbye in many steps, each of which may wait for a broker that is silent.
    last_resort = threading.Timer(LAST_RESORT, _end_here)
    last_resort.daemon = True
    last_resort.start()


def _end_here() -> None:
    _say("asked to stop, and something does not answer: ending here")
    os._exit(0)


def _beat_ends_with(worker: int) -> None:
    """Let the embedded beat die with its worker, kill -9 included (Linux keeps that promise)."""

    @signals.beat_embedded_init.connect(weak=False)
    def _die_with_parent(**_: Any) -> None:
        # Its schedule is in memory: there is nothing to save, and a silent broker to say it to.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if sys.platform == "linux":
            pr_set_pdeathsig = 1
            ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != worker:  # it died before we asked
            os._exit(1)


def _say(line: str) -> None:
    """On standard error whatever the log level: a supervisor waits for these lines."""
    print(line, file=sys.stderr, flush=True)
