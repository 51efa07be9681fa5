"""How a web process runs our synchronous views: in a few threads that live as long as it does.

Django's own ASGI handler starts a new thread for each request, and database connections belong
to threads, so each request would connect anew; it also changes threads several times a request.
Here a request changes threads once, and finds its thread's connection open.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import django
from django.conf import settings
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import get_resolver, set_script_prefix

from . import problems

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

THREADS = 4
"""Requests at work at a time: while one waits for its commit, others go on."""

SWITCH_SECONDS = 0.0005
"""A thread that the database has answered must not wait Python's usual 5 ms for its turn."""


class ThreadedHandler(ASGIHandler):
    """Serves HTTP by synchronous middleware and views. Answers are sent whole, not streamed."""

    def __init__(self) -> None:
        self.load_middleware(is_async=False)
        # SQLite lets one write at a time, and who waits for it does so by sleeping.
        self._threads = ThreadPoolExecutor(THREADS if connection.vendor == "postgresql" else 1)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request. Nothing of it is left undone if the client goes away meanwhile."""
        if scope["type"] != "http":
            raise ValueError(f"expected an HTTP request, got {scope['type']}")
        try:
            body = await self._read(receive)
        except RequestAborted:
            return
        loop = asyncio.get_running_loop()
        response = await loop.run_in_executor(self._threads, self._respond, scope, body)
        await self.send_response(response, send)

    async def _read(self, receive: Receive) -> bytes:
        """The body, but no more of it than is needed to see that it is too large."""
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = bytearray()
        more = True
        while more and len(body) <= limit:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RequestAborted
            body += message.get("body", b"")
            more = message.get("more_body", False)
        return bytes(body)

    def _respond(self, scope: Message, body: bytes) -> HttpResponseBase:
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, _ = self.create_request(scope, BytesIO(body))
        if request is None:  # a query string that is not UTF-8
            unread = HttpRequest()
            unread.path = scope["path"]
            return problems.bad_request(unread, UnicodeError())
        # A chunked body comes without a length, and DRF takes that for no body.
        request.META["CONTENT_LENGTH"] = str(len(body))
        response = self.get_response(request)
        if response.streaming:
            whole = HttpResponse(b"".join(response), status=response.status_code)
            whole.headers = response.headers
            response.close()
            return whole
        response.close()  # sends request_finished, in the thread that holds the connection
        return response


def application() -> ThreadedHandler:
    """The ASGI application of the service whose settings are in force."""
    sys.setswitchinterval(SWITCH_SECONDS)
    django.setup(set_prefix=False)
    _ = get_resolver().url_patterns  # imports the views now, not while the first caller waits
    return ThreadedHandler()
