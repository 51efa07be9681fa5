"""No secret, code or address stands where SECURITY.md says there is none, whatever went wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests_integration.harness import leaks, places
from tests_integration.harness.browser import Browser
from tests_integration.harness.deployment import SETTINGS, Deployment
from tests_integration.harness.leaks import KEYS, Written
from tests_integration.harness.payments import Subscription, order
from tests_integration.harness.places import Place
from tests_integration.harness.third_party import user_subscribed
from tests_integration.harness.wire import EventRecorder
from tools import rest
from tools.servers import postgresql
from tools.servers.postgresql_cluster import Cluster
from tools.servers.rabbitmq_node import Node
from tools.system.backends import Backends
from tools.system.commands import OPERATORS, PROCESSES, ROOT, SERVICES
from tools.system.eventually import eventually
from tools.system.gate import Gate
from tools.system.keys import new_keys
from tools.system.ports import LOCAL, free_port
from tools.system.system import System

USER = "leaky-user"
BROKER = ("rabbitmq/", "files/broker.sqlite3")
PASSWORDS = {
    "database password": "database: pass/word+%41 9tX2",
    "broker password": "broker: pass/word?#[7K3M]",
    "mail server password": "mail: pässwörd@home&2WBD",
    "management password": "management: pass word=H5RN",
    "operator password": "correct horse battery H5RN-staple",
}
"""Each with characters that URLs quote."""


class RudeMailServer:
    """Wants a login, and repeats in its refusals all that was sent to it."""

    def __init__(self) -> None:
        self._mails = 0
        self._login = ""
        self._recipients = 0

    def authenticate(
        self, _: SMTP, __: Session, ___: Envelope, mechanism: str, login: LoginPassword
    ) -> AuthResult:
        self._login = f"{login.login.decode()} {login.password.decode()}"
        return AuthResult(success=True)

    async def handle_RCPT(  # noqa: N802
        self, _: SMTP, session: Session, envelope: Envelope, address: str, __: list[str]
    ) -> str:
        """Refuses unknown users for good, and the first other one for a while."""
        if address.startswith("unknown"):
            return f"550 5.1.1 <{address}>: no such user, says {self._login}"
        self._recipients += 1
        if self._recipients == 1:
            return f"450 4.2.1 {address} is busy ({quote(address)}); your login is {self._login}"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        self._mails += 1
        if self._mails == 1:
            line = next(line for line in content.decode().splitlines() if line.count("-") == 3)
            return f"451 4.7.1 spam: {line.strip()} {line.strip().replace('-', '')}"
        return "250 OK"


@contextmanager
def rude_mail_server() -> Iterator[str]:
    """Yields its URL, with the login that it wants."""
    rude = RudeMailServer()
    controller = Controller(
        rude,
        hostname=LOCAL,
        port=free_port(),
        authenticator=rude.authenticate,
        auth_required=True,
        auth_require_tls=False,
        enable_SMTPUTF8=True,
    )
    controller.start()
    try:
        yield f"smtp://{login('mail server password')}@{LOCAL}:{controller.port}"
    finally:
        controller.stop()


@dataclass
class Scene:
    """A system at LOG_LEVEL=DEBUG, and what it has said."""

    deployment: Deployment
    servers: Callable[[], Iterable[Written]]
    """What the servers have written."""
    said: list[Written] = field(default_factory=list)

    def written(self) -> Iterator[Written]:
        yield from self.said
        yield from leaks.files(self.deployment.system.folder, "files")
        yield from self.servers()

    def run(self, service: str, *arguments: str) -> None:
        environment = self.deployment.system.environment(service)
        self.said.append(run(service, arguments, environment))

    def said_in_logs(self, text: str) -> bool:
        logs = (self.deployment.system.folder / "logs").glob("*.log")
        return any(text in log.read_text(errors="replace") for log in logs)

    def call(self, url: str, headers: Mapping[str, str], body: object = None) -> None:
        """A request; its answer may repeat to its sender what it says."""
        with suppress(*rest.NO_ANSWER):
            rest.call("GET" if body is None else "POST", url, body, headers)

    def look(self, url: str) -> None:
        """A page that anybody may see."""
        answer = rest.call("GET", url)
        self.said.append((url, f"{answer.headers}{answer.body}".encode()))


@pytest.fixture(params=["servers", "embedded"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        email_url = stack.enter_context(rude_mail_server())
        management = f"http://{login('management password')}@{LOCAL}:{free_port()}"
        both = {"LOG_LEVEL": "DEBUG", "BROKER_MANAGEMENT_URL": management}
        settings = {service: dict(both) for service in SERVICES}
        settings["payment_service"] |= {"RECONCILE_AFTER": "0", "LOG_FORMAT": "json"}
        settings["student_service"] |= {**SETTINGS["student_service"], "EMAIL_URL": email_url}
        if request.param == "embedded":
            place = stack.enter_context(places.embedded(tmp_path))
            servers: Callable[[], Iterable[Written]] = tuple
        else:
            request.getfixturevalue("installed_rabbitmq")
            node = Node(stack, definitions=definitions())
            cluster = postgresql.private(stack)
            with psycopg.connect(cluster.url, autocommit=True) as connection:
                connection.execute(f'CREATE ROLE "{USER}" SUPERUSER LOGIN')
            broker_url = node.url.replace("guest:guest", login("broker password"))
            database_url = cluster.url.replace("postgres@", f"{login('database password')}@")
            broker, databases = (
                stack.enter_context(Gate(url)) for url in (broker_url, database_url)
            )
            place = stack.enter_context(places.behind(broker, databases, tmp_path))
            servers = partial(written_by, node, cluster, place)
        system = stack.enter_context(System(tmp_path, place.backends, settings=settings))
        system.migrate("operators.settings")
        deployment = Deployment(system, place, system.new_api_key())
        system.set_operator("ada", PASSWORDS["operator password"])
        deployment.start(*PROCESSES, *OPERATORS)
        yield Scene(deployment, servers)


def login(kind: str) -> str:
    return f"{USER}:{quote(PASSWORDS[kind], safe='')}"


def written_by(node: Node, cluster: Cluster, place: Place) -> Iterator[Written]:
    yield from leaks.files(node.folder, "rabbitmq")
    yield from leaks.files(cluster.folder, "postgresql")
    for service, url in place.database_urls.items():
        yield from leaks.tables(url, service)


def definitions() -> str:
    """What RabbitMQ starts with: our login, and nobody else's."""
    return json.dumps(
        {
            "users": [
                {"name": USER, "password": PASSWORDS["broker password"], "tags": "administrator"}
            ],
            "vhosts": [{"name": "/"}],
            "permissions": [
                {"user": USER, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
            ],
        }
    )


def outages(scene: Scene) -> list[Subscription]:
    """Orders while each server and each process fails in turn."""
    deployment, paid = scene.deployment, []
    for gate in (deployment.place.broker, deployment.place.databases):
        if gate is not None:
            gate.close()
            for each in (order(), order()):
                with suppress(*rest.NO_ANSWER):
                    deployment.payments.post(each)
            scene.run("payment_service", "reconcile", "--wait", "1")
            scene.run("student_service", "broker_doctor")
            gate.open()
            paid += deployment.subscribe(order() for _ in range(3))
    for name in ("payment-web", "payment-relay", "student-consumer", "student-tasks"):
        deployment.kill(name)
        deployment.start(name)
    return paid


def intruders(scene: Scene, known: Subscription) -> None:
    """Requests of people who know a code, an address or a key, and are not entitled."""
    payments, key = scene.deployment.system.payment_url, scene.deployment.api_key
    code, address = known.access_code or "", known.email
    hints = {"X-Request-Id": code, "X-Forwarded-For": address, "User-Agent": f"{address} {code}"}
    paths = [
        f"/v1/subscriptions/{code}",
        f"/v1/subscriptions?email={quote(address)}",
        f"/v1/subscriptions?cursor={code.replace('-', '')}",
        f"/{address}/{key}",
    ]
    for path in paths:
        scene.call(payments + path, hints)
        scene.call(payments + path, {"Authorization": f"Bearer {key}x"})
        scene.call(payments + path, {"Authorization": f"Basic {key}"})
    entitled = {"Authorization": f"Bearer {key}", "Idempotency-Key": f"{address}, {code}"}
    scene.call(f"{payments}/v1/subscriptions", entitled, {"email": address, "plan": code})
    for url in (scene.deployment.system.student_url, payments):
        for path in ("/health/ready", "/health/live", "/metrics"):
            scene.look(url + path)


def forgeries(scene: Scene, wire: EventRecorder, known: Subscription) -> None:
    """Messages with a real code and a real address that nobody can handle."""
    code, address = known.access_code or "", known.email
    request = user_subscribed(email=address)
    reply = {
        **request,
        "source": "/student_service",
        "type": "access_code_created",
        "data": {
            "subscription_id": request["subject"],
            "user_id": address,
            "access_code": code,
            "issued_at": request["time"],
        },
    }
    restored = {**request, "type": "access_code_restored"}
    bodies: list[tuple[str, str, bytes]] = [
        ("payment_service", "user_subscribed", json.dumps(request).encode()[:-9]),
        ("payment_service", "user_subscribed", f"{code} {address}".encode()),
        ("payment_service", "user_subscribed", json.dumps({**request, "email": code}).encode()),
        ("payment_service", "access_code_restored", json.dumps(restored).encode()),
        ("student_service", "access_code_created", json.dumps(reply).encode()),
    ]
    for producer, key, body in bodies:
        wire.publish(producer, key, body, {"user": address, "code": code})


def operators(scene: Scene, known: Subscription) -> None:
    """Every command, with what people type into it by mistake."""
    code, address = known.access_code or "", known.email
    for service in SERVICES:
        for arguments in (
            ["why", known.id],
            ["why", known.id, "--json"],
            ["why", code],
            ["why", address],
            ["set_aside", "list"],
            *(["set_aside", "show", str(number)] for number in (1, 2, 3)),
            ["set_aside", "replay", "--all"],
            ["set_aside", "show", code],
            ["set_aside", "list", "--state", address],
            ["rotate_keys", "--dry-run"],
            ["wire_keys"],
            ["broker_doctor"],
            ["prune_messages", "--dry-run"],
            ["check", "--deploy"],
            ["prune_messages", scene.deployment.api_key],
        ):
            scene.run(service, *arguments)
    for arguments in (
        ["mails", "list", "--state", "failed"],
        ["mails", "list", "--state", "sent"],
        ["mails", "list", "--state", address],
        ["mails", "finish", code, "--as", "sent", "--reason", "she has it"],
        ["mails", "resend", "--state", "failed", "--error", address, "--reason", "again"],
        ["grants", "list"],
        ["grants", "lift", code, "--reason", "ours"],
    ):
        scene.run("student_service", *arguments)
    for arguments in (
        ["reconcile", "--wait", "60"],
        ["reconcile", "--repair", "--wait", "60"],
        ["reconcile", "list"],
        ["reconcile", "adopt", "--client", address, code],
        ["api_key", "list"],
        ["api_key", "revoke", scene.deployment.api_key],
        ["api_key", "revoke", code],
    ):
        scene.run("payment_service", *arguments)


def pages(scene: Scene) -> None:
    """Every page for operators that a link leads to, and those of a few rows."""
    browser = Browser()
    for url in scene.deployment.system.operators_urls.values():
        password = PASSWORDS["operator password"]
        browser.send(f"{url}/login/?next=/", username="ada", password=password)
        shown = [(each, page.encode()) for each, page in browser.walk(f"{url}/", at_most=40)]
        assert len(shown) > 10, "these pages have links to others"
        scene.said += shown


@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_a_run_with_every_kind_of_error_leaves_no_secret_code_or_address(scene: Scene) -> None:
    deployment = scene.deployment
    [known, *_] = deployment.active(deployment.subscribe(order() for _ in range(5)))
    unknown = f"unknown-{known.user_id}@example.com"
    paid = deployment.subscribe([order(email=unknown)])
    paid += outages(scene)
    intruders(scene, known)
    with deployment.wire() as wire:
        forgeries(scene, wire, known)
    deployment.active(paid)
    for refusal in ("no such user", "is busy", "4.7.1 spam: "):
        eventually(partial(scene.said_in_logs, refusal))
    hidden = leaks.hidden_in(deployment, PASSWORDS)
    if deployment.place.broker is not None:  # once is enough: commands do not know the broker
        operators(scene, known)
        pages(scene)

    assert len(hidden.codes) >= len(paid) + 5
    # What third parties published in clear lies on the broker as it came.
    unpublished = replace(
        hidden,
        codes=hidden.codes - {known.access_code or ""},
        addresses=hidden.addresses - {known.email},
    )
    leaked = [
        what
        for name, text in scene.written()
        for what in leaks.found(unpublished if name.startswith(BROKER) else hidden, [(name, text)])
    ]
    assert leaked == [], "\n".join(leaked)


URLS = {
    "DATABASE_URL": "postgres",
    "LISTEN_DATABASE_URL": "postgres",
    "BROKER_URL": "amqp",
    "TASKS_BROKER_URL": "amqp",
    "BROKER_MANAGEMENT_URL": "https",
    "EMAIL_URL": "smtp",
}
SECRET = PASSWORDS["database password"]
QUOTED = quote(SECRET, safe="")
WRONG_URLS = [
    *(
        f"{{scheme}}://{USER}:{QUOTED}@{rest}"
        for rest in ("h:port", "h:99999", "[::1", "", "h:1/%zz")
    ),
    *(
        f"{{scheme}}://{USER}:{QUOTED}@h:1/{rest}"
        for rest in ("x?unknown=1", "x#y", f"?p={QUOTED}")
    ),
    f"{{scheme}}://{USER}:{SECRET}@h/x",
    f"{{scheme}}:{USER}:{QUOTED}@h",
    f"unknown://{USER}:{QUOTED}@h",
    SECRET,
    QUOTED,
]
WRONG_KEYS = ["{key}", "k 1:{key}", "k1:{key},k1:{key}", "k1:{key}x", "{key}:k1", "k1:{key}:k2"]


@pytest.mark.parametrize("service", SERVICES)
def test_wrong_settings_are_refused_without_their_values(service: str) -> None:
    right = new_keys()[service] | {"PATH": os.environ["PATH"], "DATABASE_URL": "sqlite:////x"}
    key = right["SEALING_KEYS"].partition(":")[2]
    said = []
    for url, wrong_key in zip(WRONG_URLS, cycle(WRONG_KEYS), strict=False):
        wrong = {name: url.format(scheme=scheme) for name, scheme in URLS.items()}
        wrong |= dict.fromkeys(KEYS, wrong_key.format(key=key))
        # A value that was pasted into another setting, too.
        others = ("LOG_LEVEL", "HEALTH_PORT", "EMAIL_FROM", "ENVIRONMENT")
        wrong |= dict.fromkeys(others, wrong["SEALING_KEYS"])
        said.append(run(service, ["check"], right | wrong))

    hidden = leaks.Hidden({"password": SECRET, "key": key}, frozenset(), frozenset())
    assert leaks.found(hidden, said) == []
    assert [name for name, text in said if b"HEALTH_PORT: " not in text] == []


@pytest.mark.parametrize("service", SERVICES)
def test_servers_that_cannot_be_reached_are_named_without_their_passwords(
    service: str, tmp_path: Path
) -> None:
    nowhere = f"{USER}:{QUOTED}@{LOCAL}:{free_port()}"
    with System(tmp_path, Backends.embedded(tmp_path)) as system:
        right = system.environment(service)
    said = [
        run(service, [command], right | wrong)
        for command in ("broker_doctor", "migrate", "rotate_keys", "why")
        for wrong in (
            {"DATABASE_URL": f"postgres://{nowhere}/x"},
            {"BROKER_URL": f"amqp://{nowhere}//", "TASKS_BROKER_URL": f"amqp://{nowhere}//"},
            {"BROKER_MANAGEMENT_URL": f"http://{nowhere}"},
        )
    ]

    hidden = leaks.Hidden({"password": SECRET}, frozenset(), frozenset())
    assert leaks.found(hidden, said) == []


def run(service: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Written:
    """What a command writes, whatever it exits with."""
    ended = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT / service,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
    )
    return f"{service} {' '.join(arguments)}", ended.stdout
