"""Times a reconciliation of codes that agree, and single subscriptions beside it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .contender import Progress
from .latency import PAUSE, WARM_UP, LatencyClient

FIRST_PAID = "2026-01-01T00:00:00+00:00"

SETUP = """
import datetime, uuid
from admit_one.sealing import cipher
from django.db import connection

COUNT, FIRST = {count}, datetime.datetime.fromisoformat("{first}")

def facts():
    for n in range(COUNT):
        row = uuid.UUID(int=0x0198_0000_0000_7000_8000_0000_0000_0000 + n)
        digits = f"{{n:016d}}"
        code = "-".join(digits[at : at + 4] for at in range(0, 16, 4))
        yield n, row, code, FIRST + datetime.timedelta(seconds=n)

def copy(table, columns, rows):
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        with cursor.copy(f"COPY {{table}} ({{', '.join(columns)}}) FROM STDIN") as out:
            for row in rows:
                out.write_row(row)
"""
"""Both databases get the same ids, codes and times, each code sealed for its row."""

PAYMENT = """
from subscriptions.models import CODE_PURPOSE
copy(
    "subscriptions_subscription",
    ["id", "client", "user_id", "email", "plan", "amount", "currency", "created_at",
     "access_code", "code_issued_at", "first_request_id", "last_request_id", "requests",
     "next_request_at"],
    (
        (row, "bench", f"user-{n}", f"student-{n}@example.com", "gold", 1990, "EUR", at,
         cipher.seal(code.encode(), CODE_PURPOSE, row), at, str(row), str(row), 1, at)
        for n, row, code, at in facts()
    ),
)
"""

STUDENT = """
import hashlib
from access_codes.models import CODE_PURPOSE, USER_PURPOSE, user_hash
copy(
    "access_codes_accesscode",
    ["subscription_id", "sealed_user_id", "user_hash", "plan", "lookup_hash", "sealed_code",
     "issued_at", "amount", "currency", "occurred_at"],
    (
        (row, cipher.seal(f"user-{n}".encode(), USER_PURPOSE, row), user_hash(f"user-{n}"), "gold",
         hashlib.md5(code.encode()).digest(),
         cipher.seal(code.encode(), CODE_PURPOSE, row), at, 1990, "EUR", at)
        for n, row, code, at in facts()
    ),
)
"""


def script(service: str, count: int) -> str:
    """Adds `count` subscriptions with their codes to the database of a service."""
    own = {"payment_service": PAYMENT, "student_service": STUDENT}[service]
    return SETUP.format(count=count, first=FIRST_PAID) + own


@dataclass(frozen=True)
class Reconciled:
    """Seconds of the reconciliation, and of single subscriptions before and beside it."""

    seconds: float
    alone: list[float]
    beside: list[float]


def reconciled(
    client: LatencyClient, reconcile: Callable[[], str], samples: int, progress: Progress
) -> Reconciled:
    """Time `samples` subscriptions, then `reconcile` with as many beside it as it lasts."""
    for number in range(WARM_UP):
        client.once(number)
    alone = [_one(client, number, progress) for number in range(samples)]
    beside: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(_seconds_of, reconcile)
        while not running.done():
            beside.append(_one(client, len(beside), progress))
    return Reconciled(running.result(), alone, beside)


def _seconds_of(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _one(client: LatencyClient, number: int, progress: Progress) -> float:
    time.sleep(random.uniform(*PAUSE))  # noqa: S311 (no secret)
    _, shown = client.once(number)
    progress(number)
    return shown
