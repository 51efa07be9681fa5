"""Wakes the worker once something is to be sent."""

from __future__ import annotations

import math
import time

from django.db import transaction

from admit_one.messaging import conf, wake
from admit_one.messaging.wake_thread import WakeThread

TASK = "send_webhooks"
"""The task's name, after that of the service."""


def worker() -> None:
    """Wake a worker once the current transaction is committed.

    In a web process a thread does it: a request waits for no broker.
    """
    if wake.relay_thread.is_running():
        transaction.on_commit(_ring, robust=True)
    else:
        wake.task(_name())


def _ring() -> None:
    if not _thread.is_running():
        _thread.start()
    _thread.ring()


def _send() -> None:
    wake.task_now(_name())
    while (seconds := wake.next_in()) < math.inf:  # wake-ups of a task are limited
        time.sleep(seconds)
        wake.send_waiting()


def _name() -> str:
    return f"{conf.current().service.name}.{TASK}"


_thread = WakeThread(_send)
