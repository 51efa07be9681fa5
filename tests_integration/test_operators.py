"""The pages for operators in a browser: two services on one host."""

from __future__ import annotations

import re
import urllib.error
from collections.abc import Iterator

import pytest
from kombu import Connection

from admit_one import embedded_broker  # noqa: F401  (makes sqlite:////path a broker URL)
from tests_integration.harness.browser import Browser
from tools import rest
from tools.system.backends import Backends
from tools.system.commands import OPERATORS, SERVICES
from tools.system.eventually import eventually
from tools.system.ports import LOCAL
from tools.system.system import System

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("operators")
    with System(folder, Backends.embedded(folder)) as system:
        system.migrate("operators.settings")
        system.set_operator("ada", PASSWORD)
        system.start("student-consumer", *OPERATORS)
        system.wait_ready()
        yield system


@pytest.fixture
def browser(system: System) -> Browser:
    """A browser that is logged in on both sides."""
    browser = Browser()
    for url in system.operators_urls.values():
        browser.send(f"{url}/login/?next=/", username="ada", password=PASSWORD)
    return browser


def test_one_browser_can_be_logged_in_on_both_sides(system: System, browser: Browser) -> None:
    for service in SERVICES:
        page = browser.get(system.operators_urls[service])
        assert f"Admit One: {service}" in page
        assert "Set-aside messages" in page
        assert 'name="password"' not in page


@pytest.fixture(scope="module")
def api(system: System) -> str:
    """The address of the payment API."""
    system.start("payment-web")
    system.wait_ready("payment-web")
    return system.payment_url


def test_the_public_web_process_has_no_pages_for_operators(api: str) -> None:
    for path in ("/login/", "/messaging/setaside/", "/admin/"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            Browser().get(f"{api}{path}")


def test_an_operator_finds_inspects_and_discards_a_message(
    system: System, browser: Browser
) -> None:
    pages = f"{system.operators_urls['student_service']}/messaging/setaside"
    with Connection(system.backends.broker_url) as connection:
        connection.Producer().publish(
            b'{"specversion"', exchange="payment_service.events", routing_key="user_subscribed"
        )

    page = eventually(lambda: browser.get(f"{pages}/"), lambda page: "order/discard" in page)
    [discard] = re.findall(r'href="/messaging/setaside(/order/discard/[^"]*)"', page)
    [example] = set(re.findall(r'such as <a href="(\d+)/change/"', page))
    explained = browser.get(f"{pages}/{example}/change/")
    done = browser.send(f"{pages}{discard}".replace("&amp;", "&"), reason="a test of ours")

    assert "unreadable" in explained
    assert "1 of 1 messages discarded" in done
    kept = system.manage("student_service", "set_aside", "show", example)
    assert "discard by ada (admin), because: a test of ours: done" in kept


def test_an_operator_disables_and_enables_an_endpoint_and_resends_what_waits(
    system: System, browser: Browser, api: str
) -> None:
    key = {"Authorization": f"Bearer {system.new_api_key('shop')}"}
    new = {"url": f"http://{LOCAL}:9999/private", "events": ["subscription.active"]}
    endpoint = rest.post(f"{api}/v1/webhook-endpoints", new, key)["id"]
    webhook = rest.post(f"{api}/v1/webhook-endpoints/{endpoint}/test", None, key)["id"]
    pages = f"{system.operators_urls['payment_service']}/webhooks"
    of_endpoint, of_webhook = f"endpoint/{endpoint}/change/", f"delivery/{webhook}/change/"

    walked = list(browser.walk(f"{pages}/endpoint/", at_most=5))
    browser.send(f"{pages}/{of_endpoint}", do="Disable", reason="it is not theirs")
    disabled = rest.get(f"{api}/v1/webhook-endpoints/{endpoint}", key)["disabled_reason"]
    waits = browser.send(f"{pages}/{of_webhook}", reason="a test of ours")
    browser.send(f"{pages}/{of_endpoint}", do="Enable", reason="it is theirs")

    assert f"{pages}/{of_endpoint}" in [url for url, _ in walked]
    assert [url for url, page in walked if "private" in page] == []
    assert disabled == "by an operator of this service"
    assert "pending: its endpoint is disabled" in waits
    assert rest.get(f"{api}/v1/webhook-endpoints/{endpoint}", key)["disabled_at"] is None
    shown = browser.get(f"{pages}/{of_endpoint}")
    assert "disable by ada (admin), because: it is not theirs" in shown
    assert "enable by ada (admin), because: it is theirs" in shown
