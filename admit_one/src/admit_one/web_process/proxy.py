"""What a proxy in front of us says about its client: the last hop of its headers is trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from waitress.proxy_headers import (
    PROXY_HEADERS,
    MalformedProxyHeader,
    clear_untrusted_headers,
    parse_proxy_headers,
)

from .problem import Problem

TRUSTED = frozenset({"x-forwarded-for", "x-forwarded-proto"})

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def behind(trusted_proxy: str, application: Application) -> Application:
    """The application, which sees these headers only as the proxy at this address sent them.

    As waitress does it, but what cannot be read is refused like every other bad request.
    """

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        untrusted = set(PROXY_HEADERS)
        if environ["REMOTE_ADDR"] == trusted_proxy:
            try:
                untrusted = parse_proxy_headers(environ, 1, TRUSTED)
            except MalformedProxyHeader as error:
                expected = f"expected a header {error.header} with one readable value"
                return Problem(400, "Bad Request", "bad_request", expected).wsgi(start_response)
        clear_untrusted_headers(environ, untrusted)
        return application(environ, start_response)

    return answer
