"""The `type` of every problem leads to a page that explains it."""

from __future__ import annotations

import json
import re
from urllib.parse import urljoin

import admit_one.web
import admit_one.web_process
import admit_one.webhooks
import providers
import pytest
import subscriptions
from admit_one.environment import Wrong
from admit_one.web import problem_pages, problem_types
from admit_one.web.testing import fault_codes, problem_codes
from admit_one.web_process.problem import Problem
from admit_one.web_process.server import REFUSALS
from django.test import Client
from pytest_django import Settings

from tests.conftest import Api

ENTRIES = problem_pages.entries()
ROOT = "http://testserver"


PACKAGES = (admit_one.web, admit_one.webhooks, admit_one.web_process, providers, subscriptions)


def test_every_code_that_the_api_can_answer_has_an_entry() -> None:
    codes = problem_codes(*PACKAGES) | {code for code, _ in REFUSALS.values()}

    assert sorted(codes - ENTRIES.keys()) == []
    assert {"invalid", "unavailable", "timeout", "webhook_state"} <= codes


def test_the_entry_of_invalid_requests_lists_the_code_of_each_fault() -> None:
    listed = set(re.findall(r"`([a-z_]+)`(?=[^|]*\|.*\|$)", ENTRIES["invalid"], re.MULTILINE))
    codes = fault_codes(*PACKAGES)

    assert sorted(codes - listed) == []
    assert {"link", "other_order", "unknown", "url", "event"} <= codes


@pytest.mark.parametrize("code", ENTRIES)
def test_an_entry_says_what_happened_and_what_to_do_with_an_example(code: str) -> None:
    entry = ENTRIES[code]
    [example] = re.findall(r"```json\n(.*?)```", entry, re.DOTALL)
    problem = json.loads(example)

    assert "\nWhat happened: " in entry
    assert "\nWhat to do: " in entry
    assert (problem["type"], problem["code"]) == (f"/v1/problems/{code}", code)
    assert {"title", "status", "detail"} <= problem.keys()


def test_the_type_of_a_problem_leads_to_its_page_without_a_key(shop: Api) -> None:
    answer = shop.get("/v1/subscriptions?limit=0")

    page = Client().get(urljoin(f"{ROOT}/v1/subscriptions", answer.json()["type"]))

    assert (page.status_code, page["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert page.content.decode() == f"{ENTRIES['invalid']}\n"


@pytest.mark.parametrize("code", ["nothing", "Invalid", "invalid/", "..%2Fproblems", "%00"])
def test_a_code_that_does_not_exist_has_no_page(client: Client, code: str) -> None:
    answer = client.get(f"/v1/problems/{code}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_the_pages_may_be_elsewhere(shop: Api, settings: Settings) -> None:
    settings.PROBLEM_TYPES = "https://docs.example/problems#"

    answered = shop.get("/v1/subscriptions?limit=0").json()["type"]
    refused = json.loads(Problem(408, "Request Timeout", "timeout", "too slow").body)["type"]

    assert answered == "https://docs.example/problems#invalid"
    assert refused == "https://docs.example/problems#timeout"


@pytest.mark.parametrize(
    "base", ["", "problems/", "/problems", "ftp://x/", "https:///", "https://a b/"]
)
def test_a_base_to_which_no_code_can_be_added_is_refused(base: str) -> None:
    with pytest.raises(Wrong):
        problem_types._base(base)
