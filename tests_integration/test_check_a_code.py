"""A learning platform checks codes as docs/check-a-code.md and its example do."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests_integration.harness.browser import Browser
from tests_integration.harness.deployment import Deployment
from tests_integration.harness.payments import order
from tools import rest
from tools.system import programs
from tools.system.commands import ROOT
from tools.system.eventually import eventually
from tools.system.ports import LOCAL, free_port

PAGE = (ROOT / "docs" / "check-a-code.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "docs" / "examples" / "platform"
FENCE = re.compile(r"^```(sh|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = FENCE.findall(PAGE)
STEPS = list(
    zip(
        [text for kind, text in BLOCKS if kind == "sh" and "curl" in text],
        [text for kind, text in BLOCKS if kind == "json"],
        strict=True,
    )
)
FORM, LESSON = "<form", "Lesson 1"


def a_code(deployment: Deployment) -> str:
    subscription = deployment.payments.subscribe(order(plan="gold"))
    [active] = deployment.active([subscription])
    assert active.access_code
    return active.access_code


def a_key(deployment: Deployment) -> str:
    return deployment.system.new_api_key("courses", "student_service")


def test_each_line_of_the_page_answers_as_printed(deployment: Deployment) -> None:
    programs.needed("curl")
    known = {
        "PATH": os.environ["PATH"],
        "URL": deployment.system.student_url,
        "KEY": a_key(deployment),
        "CODE": a_code(deployment),
    }
    assert len(STEPS) == 4
    assert PAGE.count("curl ") == len(STEPS)
    for command, printed in STEPS:
        done = subprocess.run(
            ["bash", "-euc", command], env=known, capture_output=True, text=True, check=True
        )
        answer, expected = json.loads(done.stdout), json.loads(printed)
        assert answer.keys() == expected.keys()
        own = {"access_id", "subscription_id", "user_id"}
        assert {name: value for name, value in answer.items() if name not in own} == {
            name: value for name, value in expected.items() if name not in own
        }
        known["ACCESS_ID"] = answer["access_id"] or known.get("ACCESS_ID", "")


def test_the_example_imports_nothing_of_ours_and_its_decorator_is_short() -> None:
    modules = [path.read_text(encoding="utf-8") for path in EXAMPLE.rglob("*.py")]

    assert not [text for text in modules if re.search(r"admit_one|access_codes|shared", text)]
    decorator = (EXAMPLE / "courses" / "admitted.py").read_text(encoding="utf-8")
    assert len([line for line in decorator.splitlines() if line.strip()]) <= 20


@contextmanager
def platform(url: str, key: str, log: Path, **settings: str) -> Iterator[str]:
    """The example, running; yields its address."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "SECRET_KEY": secrets.token_hex(32),
        "ACCESS_URL": url,
        "ACCESS_KEY": key,
        **settings,
    }
    command = [sys.executable, "manage.py", "runserver", "--noreload", f"{LOCAL}:{port}"]
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, cwd=EXAMPLE, env=environment, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        address = f"http://{LOCAL}:{port}/"
        try:
            eventually(lambda: _answers(address), within=30)
            yield address
        finally:
            process.terminate()


def _answers(address: str) -> bool:
    try:
        return rest.call("GET", f"{address}enter").status == 200
    except rest.NO_ANSWER:
        return False


def enter(browser: Browser, address: str, code: str) -> str:
    """The page that is shown after a code was entered."""
    return browser.send(f"{address}enter", code=code)


def operate(deployment: Deployment, act: str, code: str, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    url = f"{deployment.system.student_url}/v1/access-codes"
    access_id = rest.post(f"{url}/validate", {"code": code}, headers)["access_id"]
    rest.post(f"{url}/{access_id}/{act}", {"reason": "a test"}, headers)


@pytest.mark.timeout(180)
def test_the_example_lets_in_by_code_and_out_when_it_is_suspended(
    deployment: Deployment, tmp_path: Path
) -> None:
    key, code = a_key(deployment), a_code(deployment)
    with platform(
        deployment.system.student_url, key, tmp_path / "log", ACCESS_FRESH="0"
    ) as address:
        browser = Browser()
        assert FORM in browser.get(address)
        assert "does not let you in" in enter(browser, address, "0000-0000-0000-0000")
        assert "typing error" in enter(browser, address, "no code")
        assert enter(browser, address, code.lower()) == LESSON
        assert enter(browser, address, code) == LESSON
        operate(deployment, "suspend", code, key)

        assert FORM in browser.get(address)
        assert "suspended" in enter(browser, address, code)
        assert code not in (tmp_path / "log").read_text()


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("grace", "then"), [("3600", LESSON), ("0", FORM)])
def test_while_the_service_is_away_the_example_lets_nobody_new_in(
    deployment: Deployment, tmp_path: Path, grace: str, then: str
) -> None:
    key, code, other = a_key(deployment), a_code(deployment), a_code(deployment)
    fresh = {"ACCESS_FRESH": "0", "ACCESS_GRACE": grace}
    with platform(deployment.system.student_url, key, tmp_path / "log", **fresh) as address:
        known, new = Browser(), Browser()
        assert enter(known, address, code) == LESSON
        deployment.system.stop("student-web")
        try:
            assert then in known.get(address)
            with pytest.raises(urllib.error.HTTPError) as refused:
                enter(new, address, other)
            refused.value.close()
            assert refused.value.code == 503
        finally:
            deployment.start("student-web")

        assert enter(new, address, other) == LESSON


def test_the_example_asks_once_a_minute(deployment: Deployment, tmp_path: Path) -> None:
    key, code = a_key(deployment), a_code(deployment)
    with platform(deployment.system.student_url, key, tmp_path / "log") as address:
        browser = Browser()
        enter(browser, address, code)
        operate(deployment, "suspend", code, key)

        assert browser.get(address) == LESSON
