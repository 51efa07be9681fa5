"""Whether this process lives, and whether it can do its work. Details are for the log."""

from __future__ import annotations

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from admit_one.logs import EventLogger
from admit_one.masking import mask

logger = EventLogger(__name__)

_migrated = False
"""Once seen it stays so: new migrations come with new code, in a new process."""


def live(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 (a view)
    """200 as long as the process answers at all."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 (a view)
    """200 if the database answers and has this code's tables, else 503."""
    try:
        fault = _fault()
    except DatabaseError as error:
        fault = mask(str(error)).strip()
    if fault:
        logger.warning("not_ready", "not ready: {fault}", fault=fault)
        return JsonResponse({"status": "unavailable"}, status=503)
    return JsonResponse({"status": "ok"})


def _fault() -> str:
    global _migrated  # noqa: PLW0603 (one fact a process)
    if _migrated:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return ""
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        return f"{len(missing)} migrations are missing, run manage.py migrate"
    _migrated = True
    return ""
