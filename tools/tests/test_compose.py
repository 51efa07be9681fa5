"""compose.yaml and .env.example, as far as they can be checked without Docker."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from amqp.exceptions import AccessRefused
from kombu import Connection

from tools.demo.journey import Journey
from tools.servers import rabbitmq
from tools.system.backends import Backends
from tools.system.commands import OPERATORS, PROCESSES, ROOT, SERVICES
from tools.system.keys import new_keys
from tools.system.system import System
from tools.up import filled

from .test_servers import has_rabbitmq

EXAMPLE = (ROOT / ".env.example").read_text()
COMPOSE_TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)


@pytest.fixture(scope="module")
def values() -> dict[str, str]:
    """The values that `make up` writes to .env."""
    lines = [line for line in filled(EXAMPLE).splitlines() if re.match(r"\w+=", line)]
    return dict(line.split("=", 1) for line in lines)


def interpolated(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$\{(\w+)[^}]*\}", lambda found: values[found[1]], text).replace("$$", "$")


def test_make_up_gives_a_value_to_every_variable_of_compose(values: Mapping[str, str]) -> None:
    needed = set(re.findall(r"\$\{(\w+)(?=[:}])(?!:[-+])", COMPOSE_TEXT))

    assert len(needed) > 8
    assert [name for name in sorted(needed) if not values.get(name)] == []


def test_compose_passes_on_what_comes_from_outside_under_its_own_name() -> None:
    """Such as `STRIPE_CLIENT: ${STRIPE_CLIENT:-}`."""
    with_default = re.findall(r"([A-Z_]+): \$\{(\w+):[-+]", COMPOSE_TEXT)

    assert len(with_default) > 8
    assert [pair for pair in with_default if pair[0] != pair[1]] == []


NOT_PASSED_ON = {
    "ENVIRONMENT": "the containers run as in production",
    "LISTEN_DATABASE_URL": "no pooler is between them and their databases",
    "BROKER_PREFIX": "nobody else uses this broker",
    "BROKER_MANAGEMENT_URL": "no user of this broker has the tag monitoring",
    "HEALTH_ADDRESS": "the health checks run inside the containers",
    "LIMITS_URL": "there is no Redis",
}
"""The settings that compose gives to no process, and why."""


def explained(side: str) -> set[str]:
    """The settings of one side that .env.example explains."""
    heads = r"^# --- (?:What a process|payment_service|student_service|`make demo`) .*$"
    _, both, payment, student, _ = re.split(heads, EXAMPLE, flags=re.MULTILINE)
    own = {"payment": payment, "student": student}[side]
    return set(re.findall(r"^# ([A-Z][A-Z_]+) +\S", both + own, re.MULTILINE))


def processes_of(side: str) -> list[dict[str, Any]]:
    own = [part for name, part in COMPOSE["services"].items() if name.startswith(f"{side}-")]
    return [part for part in own if "HEALTH_PORT" in part["environment"]]


@pytest.mark.parametrize("side", ["payment", "student"])
def test_every_process_gets_every_setting_of_its_side_and_none_of_the_other(side: str) -> None:
    given = [part["environment"].keys() - {"DJANGO_SETTINGS_MODULE"} for part in processes_of(side)]

    assert given == [explained(side) - NOT_PASSED_ON.keys()] * 7


def test_the_example_names_the_settings_that_compose_does_not_pass_on() -> None:
    [listed] = re.findall(r"^# Only these stay as they are:\n#   (.*)$", EXAMPLE, re.MULTILINE)

    assert listed.split(", ") == list(NOT_PASSED_ON)


def test_every_process_that_reads_where_templates_are_has_them() -> None:
    """A process ends at start if the folder is missing."""
    mounts = [mount for part in processes_of("student") for mount in part["volumes"]]
    folders = {part["environment"]["MAIL_TEMPLATES"] for part in processes_of("student")}
    otherwise = mounts[0]["source"].partition(":-")[2].rstrip("}")

    assert folders == {f"${{MAIL_TEMPLATES:+{mounts[0]['target']}}}"}
    assert mounts == [mounts[0]] * 7
    assert (ROOT / otherwise).is_dir()


@pytest.mark.parametrize("role", ["web", "operators"])
@pytest.mark.parametrize("side", ["payment", "student"])
def test_a_proxy_in_front_can_be_trusted(side: str, role: str) -> None:
    command = COMPOSE["services"][f"{side}-{role}"]["command"]

    assert command[1:] == [
        *("manage.py", "serve_web", "--host", "0.0.0.0"),
        *("--trusted-proxy", f"${{{side.upper()}_TRUSTED_PROXY:-127.0.0.1}}"),
    ]


@pytest.mark.parametrize(
    ("side", "library"), [("payment", "stripe"), ("student", "django-anymail")]
)
def test_the_image_of_a_service_has_the_library_of_its_extra(side: str, library: str) -> None:
    """What the lock file names for the options of the Dockerfile."""
    lines = re.findall(r"^RUN uv sync (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    asked = [line.replace("${SERVICE}", side).split() for line in lines]
    options = [each for each in asked[0] if each in {"--frozen", "--no-dev", "--all-extras"}]
    export = [sys.executable, "-m", "uv", "export", "--quiet", "--package", f"{side}-service"]
    done = subprocess.run(
        [*export, "--no-hashes", *options], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert len(asked) == 2
    assert [line for line in asked if "--all-extras" not in line] == []
    assert re.search(rf"^{library}==", done.stdout, re.MULTILINE)
    assert not re.search(r"^pytest==", done.stdout, re.MULTILINE)


def test_make_up_creates_no_secret_twice(values: Mapping[str, str]) -> None:
    secrets = [value for value in values.values() if not value.isdecimal()]

    assert len(secrets) == len(set(secrets)) > 8


def test_compose_runs_every_process_except_our_mail_catcher() -> None:
    assert {*PROCESSES, *OPERATORS} - {"mail"} <= COMPOSE["services"].keys()


@pytest.mark.parametrize("side", ["payment", "student"])
def test_no_service_gets_a_secret_of_the_other(side: str) -> None:
    other = {"payment": "STUDENT_", "student": "PAYMENT_"}[side]
    own = [part for name, part in COMPOSE["services"].items() if name.startswith(side)]

    assert len(own) == 8
    assert other not in json.dumps(own)


def test_the_services_share_only_the_network_of_the_broker() -> None:
    networks = {
        side: {
            network
            for name, part in COMPOSE["services"].items()
            if name.startswith(side)
            for network in part["networks"]
        }
        for side in ("payment", "student")
    }

    assert networks["payment"] & networks["student"] == {"broker"}


def test_compose_starts_the_processes_with_the_same_commands_as_the_demo() -> None:
    consumer = COMPOSE["services"]["student-consumer"]["command"]
    tasks = COMPOSE["services"]["payment-tasks"]["command"]

    assert consumer[1:] == ["manage.py", "consume_events"]
    assert tasks[:3] == ["celery", "-A", "payment_service"]
    assert {"--beat", "threads", "--without-gossip"} <= set(tasks)


@pytest.mark.parametrize("role", ["web", "operators", "relay", "consumer", "tasks"])
@pytest.mark.parametrize("side", ["payment", "student"])
def test_every_process_has_a_health_check_on_its_own_port(side: str, role: str) -> None:
    process = COMPOSE["services"][f"{side}-{role}"]
    port = process["environment"]["HEALTH_PORT"]

    assert f"http://127.0.0.1:{port}/health/ready" in process["healthcheck"]["test"][-1]


@has_rabbitmq
def test_broker_permissions_allow_the_journey_and_nothing_else(
    tmp_path: Path, values: Mapping[str, str]
) -> None:
    definitions = COMPOSE["configs"]["rabbitmq-definitions"]["content"]
    with ExitStack() as stack:
        url = rabbitmq.private(stack, interpolated(definitions, values))
        settings = {
            service: {**broker_urls(service, url, values), "ENVIRONMENT": "production"}
            for service in SERVICES
        }
        backends = replace(Backends.embedded(tmp_path), celery_broker_url="")
        keys = new_keys()
        deploy = {
            service: {**own, "BROKER_URL": at(url, "deploy", values["DEPLOY_BROKER_PASSWORD"])}
            for service, own in settings.items()
        }
        deploying = System(tmp_path, backends, keys=keys, settings=deploy)
        deploying.migrate()
        for service in SERVICES:
            deploying.manage(service, "declare_topology")
        system = stack.enter_context(System(tmp_path, backends, keys=keys, settings=settings))
        system.start(*PROCESSES)
        system.wait_ready(timeout=90)
        journey = Journey(system, {"payment_service": system.new_api_key()})
        steps = [step.name for step, _ in journey.steps()]
        mailed, shown = journey.codes()
        examined = {service: system.manage(service, "broker_doctor") for service in SERVICES}

        assert len(steps) == 5
        assert ["not compared: this user may not" in report for report in examined.values()] == [
            True,
            True,
        ]
        assert mailed == [shown]
        with pytest.raises(AccessRefused):
            publish_as_payment(settings["student_service"]["BROKER_URL"])


def publish_as_payment(broker_url: str) -> None:
    """Forge an event of the payment service with another login."""
    with Connection(broker_url, transport_options={"confirm_publish": True}) as connection:
        connection.Producer().publish(
            b"{}", exchange="payment_service.events", routing_key="user_subscribed"
        )


def broker_urls(service: str, url: str, values: Mapping[str, str]) -> dict[str, str]:
    """The service's broker settings of compose.yaml, for the private node at `url`."""
    relay = COMPOSE["services"][f"{service.partition('_')[0]}-relay"]["environment"]
    return {
        name: interpolated(relay[name], values).replace("rabbitmq:5672", address(url))
        for name in ("BROKER_URL", "TASKS_BROKER_URL")
    }


def at(url: str, user: str, password: str) -> str:
    return f"amqp://{user}:{password}@{address(url)}/events"


def address(url: str) -> str:
    """Host and port."""
    return urlsplit(url).netloc.rpartition("@")[2]
