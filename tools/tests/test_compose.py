"""compose.yaml and .env.example, as far as they can be checked without Docker."""

from __future__ import annotations

import json
import re
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
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def values() -> dict[str, str]:
    """The values that `make up` writes to .env."""
    lines = [line for line in filled(EXAMPLE).splitlines() if re.match(r"\w+=", line)]
    return dict(line.split("=", 1) for line in lines)


def interpolated(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$\{(\w+)[^}]*\}", lambda found: values[found[1]], text).replace("$$", "$")


def test_make_up_gives_a_value_to_every_variable_of_compose(values: Mapping[str, str]) -> None:
    needed = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text()))

    assert needed - values.keys() == set()
    assert [name for name in needed if not values[name]] == []


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
