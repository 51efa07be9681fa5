"""Rows that tests of transactions write, and what another connection sees meanwhile."""

from __future__ import annotations

import threading
from uuid import uuid4

from admit_one.database import bulk
from django.db import connections

from tests.models import Effect


def add(user, **options):
    bulk.insert(Effect, [{"subscription_id": uuid4(), "user_id": user}], **options)


def users():
    return sorted(Effect.objects.values_list("user_id", flat=True))


def on_another_connection(act):
    """The result of `act` in a thread, which has a connection of its own."""
    results = []

    def run():
        try:
            results.append(act())
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    return results[0]


class Failed(Exception):
    """Of the block under test."""
