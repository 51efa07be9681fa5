"""The web process."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.core.management import CommandError
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.urls import get_resolver
from django.utils.http import parse_header_parameters

from admit_one import logs
from admit_one.contract import strict_json
from admit_one.messaging import conf, wake
from admit_one.processes import garbage, health_port
from admit_one.processes.announcer import STARTED, description
from admit_one.processes.listening import PortNotFree, WrongAddress, listen, url_of
from admit_one.processes.pulse import pulse
from admit_one.processes.service_command import ServiceCommand
from admit_one.processes.stopping import Stop
from admit_one.processes.unsafe_settings import warn_of_unsafe_settings
from admit_one.sealing import key_watch
from admit_one.web import health
from admit_one.web_process.server import WebServer

logger = logs.EventLogger(__name__)

THREADS = 4
"""Concurrent requests: while one waits for its commit, others run."""

SWITCH_SECONDS = 0.0005
"""A thread with an answer from the database must not wait Python's usual 5 ms for the GIL."""


class Command(ServiceCommand):
    help = (
        "Serve this service over HTTP, until SIGTERM or Ctrl-C. "
        "With the operators' settings, it serves their pages. Several may run."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--host",
            default="127.0.0.1",
            help="the address to listen on; 0.0.0.0 means every IPv4 address, :: every IPv6 and "
            "IPv4 address (default: %(default)s)",
        )
        parser.add_argument("--port", type=int, default=8000, help="default: %(default)s")
        parser.add_argument(
            "--trusted-proxy",
            default="127.0.0.1",
            metavar="ADDRESS",
            help="the proxy whose X-Forwarded-For and X-Forwarded-Proto are trusted "
            "(default: %(default)s)",
        )

    def handle(self, *, host: str, port: int, trusted_proxy: str, **_: Any) -> None:
        stop = Stop().on_signals()
        role = "operators" if apps.is_installed("admit_one.operators") else "web"
        current = conf.current()
        service = current.service.name
        health_port.serve(service, role, address=current.HEALTH_ADDRESS, port=current.HEALTH_PORT)
        does = f"serves {url_of(host, port)}"
        described = description(f"{service} {role}", does, current.BROKER_URL)
        logger.info("process_started", STARTED, **described)
        warn_of_unsafe_settings()
        application = _application()
        garbage.collect_rarely()
        key_watch.guard(f"{service} {role}")
        sys.setswitchinterval(SWITCH_SECONDS)
        try:
            listener = listen(host, port)
        except WrongAddress as error:
            raise CommandError(f"--host: {error}") from None
        except PortNotFree as error:
            raise CommandError(f"--port: {error}") from None
        server = WebServer(
            application,
            listener,
            # SQLite has one writer at a time, and others wait for it by sleeping.
            threads=THREADS if connection.vendor == "postgresql" else 1,
            # The application itself refuses a body that is only a little too large.
            body_bytes=2 * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or strict_json.MAX_BYTES),
            trusted_proxy=trusted_proxy,
        )
        pulse.checks.append(health.why_not_ready)
        pulse.needs_no_broker()
        wake.relay_thread.start()
        server.serve(stop)
        stop.done()


class Request(WSGIRequest):
    """A request that drops an unreadable Content-Type.

    Django parses it too early to answer an error, and decodes the query by its charset.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        dropped = {} if _is_readable(environ.get("CONTENT_TYPE", "")) else {"CONTENT_TYPE": ""}
        super().__init__(environ | dropped)


def _is_readable(content_type: str) -> bool:
    try:
        _, parameters = parse_header_parameters(content_type)
        b"%\xff".decode(parameters.get("charset", "utf-8"), "replace")
    except (ValueError, LookupError):  # an unknown encoding, or not a text encoding
        return False
    return True


def _application() -> WSGIHandler:
    """The WSGI application, with all views imported before the first request."""
    application = get_wsgi_application()
    application.request_class = Request
    _ = get_resolver().url_patterns
    return application
