"""Each problem that the student service can answer has a page that explains it."""

from __future__ import annotations

import re

import access_codes
import admit_one.web
import admit_one.webhooks
from admit_one.web import problem_pages
from admit_one.web.testing import fault_codes, problem_codes
from django.urls import get_resolver

ENTRIES = problem_pages.entries()
PACKAGES = (admit_one.web, admit_one.webhooks, access_codes)


def test_every_code_that_the_api_can_answer_has_an_entry() -> None:
    _ = get_resolver().url_patterns  # with all views, and their exceptions
    codes = problem_codes(*PACKAGES)

    assert sorted(codes - ENTRIES.keys()) == []
    assert {"code_state", "malformed", "webhook_state"} <= codes


def test_the_entry_of_invalid_requests_lists_the_code_of_each_fault() -> None:
    listed = set(re.findall(r"`([a-z_]+)`(?=[^|]*\|.*\|$)", ENTRIES["invalid"], re.MULTILINE))

    assert sorted(fault_codes(*PACKAGES) - listed) == []
