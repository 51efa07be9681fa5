"""Addresses in answers are those that the client used, as the trusted proxy reports them."""

from __future__ import annotations

import pytest

from tests.factories import a_subscription
from tools.system.web_process import WebProcess, running

pytestmark = pytest.mark.django_db(transaction=True)

BY_HTTPS = ("X-Forwarded-Proto: https", "X-Forwarded-For: 203.0.113.7")


@pytest.mark.parametrize(
    ("proxy", "headers", "scheme"),
    [
        ("127.0.0.1", BY_HTTPS, "https"),
        ("127.0.0.1", (), "http"),
        ("203.0.113.9", BY_HTTPS, "http"),
    ],
)
def test_the_next_page_has_the_scheme_that_a_trusted_proxy_reports(
    key: str, proxy: str, headers: tuple[str, ...], scheme: str
) -> None:
    for _ in range(2):
        a_subscription()
    with running(proxy=proxy) as web:
        answer = page(web, key, *headers)

    assert answer == f"<{scheme}://testserver/v1/subscriptions?limit=1&cursor="


def page(web: WebProcess, key: str, *headers: str) -> str:
    """The beginning of `Link`, up to the cursor."""
    answer = web.get("/v1/subscriptions?limit=1", f"Authorization: Bearer {key}", *headers)
    beginning, cursor, _ = str(answer.headers["Link"]).partition("cursor=")
    return beginning + cursor
