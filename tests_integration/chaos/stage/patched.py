"""All functions and constants that a process under chaos patches, with their signatures.

The product knows nothing of this, so `check` compares the list with the product's source.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.system.commands import ROOT

PLACES = (ROOT / "admit_one" / "src", ROOT / "payment_service", ROOT / "student_service")


class NotAsExpected(Exception):
    """Something to be patched is not as listed here; the message has a line for each."""


@dataclass(frozen=True)
class Patched:
    """A constant, or a function with the names of its parameters: `Class.method(self, batch)`."""

    module: str
    signature: str

    @property
    def name(self) -> str:
        return self.signature.partition("(")[0]


NOTIFY = Patched("admit_one.database.wake_up", "notify(channel)")
PUBLISH = Patched(
    "admit_one.messaging.outgoing.publisher", "Publisher.publish(self, batch, timeout)"
)
SEND = Patched("admit_one.messaging.outgoing.publisher", "Publisher.send(self, batch)")
PROCESS = Patched("admit_one.messaging.inbox", "process(batch, handlers)")
REMEMBER = Patched("admit_one.messaging.inbox", "remember(messages)")
HANDLE = Patched("admit_one.messaging.incoming.consumer", "BatchConsumer.handle(self, batch)")
ACK = Patched("admit_one.messaging.incoming.consumer", "BatchConsumer.ack(self, batch)")
COUNT_USE = Patched("access_codes.uses", "count(row, client, reference, moment)")
SEND_MAIL = Patched("access_codes.mails.smtp", "SmtpSession.send(self, mail, lease)")
FINISH = Patched("admit_one.webhooks.finishing", "finish(ended)")
OUTCOME = Patched("admit_one.webhooks.attempt", "outcome(status, retry_after)")
RECEIVE = Patched("providers.receiving", "receive(provider, body)")
VERIFY = Patched("providers.stripe", "Stripe.verify(self, body, headers)")
ERASE = Patched("access_codes.persons", "erase(subjects)")
FIRST_PAUSE = Patched("admit_one.webhooks.finishing", "FIRST_PAUSE")
LEASE = Patched("admit_one.webhooks.claims", "LEASE")
LONGEST_PAUSE = Patched("access_codes.mails.finishing", "LONGEST_PAUSE")

ALL = (
    NOTIFY, PUBLISH, SEND, PROCESS, REMEMBER, HANDLE, ACK, COUNT_USE, SEND_MAIL, LONGEST_PAUSE,
    FINISH, FIRST_PAUSE, LEASE, OUTCOME, RECEIVE, VERIFY, ERASE,
)  # fmt: skip


def check(patches: Sequence[Patched] = ALL, places: Sequence[Path] = PLACES) -> None:
    """Raises `NotAsExpected` if anything is missing, private or has other parameters."""
    problems = [problem for patch in patches for problem in _problems(patch, places)]
    if problems:
        raise NotAsExpected("\n".join(problems))


def _problems(patch: Patched, places: Sequence[Path]) -> Iterator[str]:
    whole_name = f"{patch.module}.{patch.name}"
    if any(part.startswith("_") for part in whole_name.split(".")):
        yield f"{whole_name}: expected a public name, got a private one"
        return
    signature = _signature(patch, places)
    if signature is None:
        yield f"{whole_name}: expected {patch.signature}, got nothing by that name"
    elif signature != patch.signature:
        yield f"{whole_name}: expected {patch.signature}, got {signature}"


def _signature(patch: Patched, places: Sequence[Path]) -> str | None:
    """The signature in the product's source; None if it is not there."""
    body = _source(patch.module, places)
    *owners, name = patch.name.split(".")
    for owner in owners:
        classes = (node for node in body if isinstance(node, ast.ClassDef) and node.name == owner)
        body = next((node.body for node in classes), [])
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return f"{patch.name}({_parameters(node.args)})"
        if isinstance(node, ast.Assign | ast.AnnAssign) and name in _assigned(node):
            return patch.name
    return None


def _source(module: str, places: Sequence[Path]) -> list[ast.stmt]:
    for place in places:
        file = place.joinpath(*module.split(".")).with_suffix(".py")
        if file.exists():
            return ast.parse(file.read_text(encoding="utf-8")).body
    return []


def _parameters(arguments: ast.arguments) -> str:
    """The parameters without annotations and defaults."""
    arguments.defaults, arguments.kw_defaults = [], [None] * len(arguments.kwonlyargs)
    for node in ast.walk(arguments):
        if isinstance(node, ast.arg):
            node.annotation = None
    return ast.unparse(arguments)


def _assigned(statement: ast.stmt) -> set[str]:
    names = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}
