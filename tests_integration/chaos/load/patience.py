"""Sends requests until they are answered, as every client of a system that fails must do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from http import HTTPStatus

from tools.rest import NO_ANSWER, Response

PAUSE = 0.3
"""Seconds before a client without an answer repeats its request."""

TRY_AGAIN = {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}
NO_WHOLE_ANSWER = (*NO_ANSWER, ValueError)
"""No answer, or a truncated one."""


class Patience:
    """When clients of one kind stop, and what they found wrong; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given_up = threading.Event()
        self.anomalies: list[str] = []
        """Answers that no client should ever get."""
        self.requests = 0

    def give_up(self) -> None:
        self._given_up.set()

    def note(self, what: str) -> None:
        with self._lock:
            self.anomalies.append(what)

    def until_answered(
        self, what: str, send: Callable[[], Response], expected: Collection[int]
    ) -> Response | None:
        """Send a request until it is answered with one of the statuses that are `expected`.

        Returns the answer; none for another one, and if the clients gave up.
        """
        while not self._given_up.is_set():
            answer = self.once(send)
            if answer is not None and answer.status in expected:
                return answer
            if answer is not None:
                self.note(f"{what} was answered with {answer.status}: {answer.body}")
                return None
            self._given_up.wait(PAUSE)
        self.note(f"{what} was still unanswered at the end of the run")
        return None

    def once(self, send: Callable[[], Response]) -> Response | None:
        """Send a request once; none if there is no answer, or one to try again."""
        with self._lock:
            self.requests += 1
        try:
            answer = send()
        except NO_WHOLE_ANSWER:
            return None
        return None if answer.status in TRY_AGAIN else answer
