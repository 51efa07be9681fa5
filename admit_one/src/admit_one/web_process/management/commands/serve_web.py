"""The web process."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import CommandError
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.urls import get_resolver

from admit_one import logs
from admit_one.contract import strict_json
from admit_one.messaging import conf
from admit_one.processes.description import STARTED, description
from admit_one.processes.service_command import ServiceCommand
from admit_one.processes.stopping import Stop
from admit_one.sealing import canaries
from admit_one.web_process.server import Server

logger = logs.EventLogger(__name__)

THREADS = 4
"""Requests at work at a time: while one waits for its commit, others go on."""

SWITCH_SECONDS = 0.0005
"""A thread that the database has answered must not wait Python's usual 5 ms for its turn."""


class Command(ServiceCommand):
    help = (
        "Serve this service's HTTP addresses, until SIGTERM or Ctrl-C. "
        "With the settings for operators it serves their pages. Several may run."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
        parser.add_argument("--port", type=int, default=8000, help="default: %(default)s")
        parser.add_argument(
            "--trusted-proxy",
            default="127.0.0.1",
            metavar="ADDRESS",
            help="the proxy whose X-Forwarded-For and X-Forwarded-Proto are believed "
            "(default: %(default)s)",
        )

    def handle(self, *, host: str, port: int, trusted_proxy: str, **_: Any) -> None:
        stop = Stop().on_signals()
        role = "operators" if apps.is_installed("admit_one.operators") else "web"
        current = conf.current()
        service = current.service.name
        logs.this_is(service, role)
        does = f"serves http://{host}:{port}"
        described = description(f"{service} {role}", does, current.BROKER_URL)
        logger.info("process_started", STARTED, **described)
        application = _application()
        canaries.guard()
        sys.setswitchinterval(SWITCH_SECONDS)
        try:
            server = Server(
                application,
                host,
                port,
                # SQLite lets one write at a time, and who waits for it does so by sleeping.
                threads=THREADS if connection.vendor == "postgresql" else 1,
                # The application words the refusal of what is only a little too large.
                body_bytes=2 * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or strict_json.MAX_BYTES),
                trusted_proxy=trusted_proxy,
            )
        except OSError as error:
            raise CommandError(
                f"--port: expected a free port of {host}, got {port}: {error.strerror}"
            ) from None
        server.serve(stop)
        stop.done()


def _application() -> WSGIHandler:
    """Its views are imported now, not while the first caller waits."""
    application = get_wsgi_application()
    _ = get_resolver().url_patterns
    return application
