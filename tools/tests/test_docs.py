"""Everything that the documents name exists, and they cover settings, log events and the wire."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from admit_one.contract.envelope import Attributes
from admit_one.contract.package import ContractPackage
from jsonschema import Draft202012Validator

from tools.system.commands import ROOT

CONTRACT = ContractPackage("shared_contracts")
EVENTS = {event.type: event for event in CONTRACT.events}

DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "shared_contracts").glob("*.md"),
        *(ROOT / "admit_one").glob("*.md"),
    ]
)
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
WIRE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")

FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
IN_CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\((?!https?://)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
TEST = re.compile(r"`(?P<path>[\w/]+\.py)::(?P<name>\w+)(?P<case>\[[^\]`]+\])?`")
A_PATH = re.compile(r"`(?P<path>[\w.-]+/[\w./-]+|[\w.-]+\.(?:py|md|toml|yaml|lock|txt))`")

each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def blocks(text: str, info: str) -> list[str]:
    """The fenced blocks with this info string."""
    return [found["text"] for found in FENCE.finditer(text) if found["info"] == info]


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub creates for the headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text_of(document)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def rows(text: str, heading: str) -> list[str]:
    """The names in code format in the first column of the first table after a heading."""
    after = text.partition(f"\n{heading}\n")[2]
    table = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    assert table is not None, f"expected a table under {heading!r}"
    return [name for row in table[0].splitlines() for name in re.findall(r"^\| `(\w+)`", row)]


# what is named exists


@each_document
def test_every_link_leads_somewhere(document: Path) -> None:
    broken = []
    for link in LINK.finditer(IN_CODE.sub("", FENCE.sub("", text_of(document)))):
        target = document.parent / link["path"] if link["path"] else document
        if not target.exists() or (link["anchor"] and link["anchor"] not in anchors(target)):
            broken.append(link[0])

    assert broken == []


def test_every_test_that_a_document_names_exists() -> None:
    """By their names in pytest."""
    named = {
        (found["path"], found["name"] + (found["case"] or ""))
        for document in DOCUMENTS
        for found in TEST.finditer(text_of(document))
    }
    known = collected(sorted({path for path, _ in named}))

    missing = [f"{path}::{name}" for path, name in sorted(named) if name not in known[path]]
    assert missing == []
    assert named


def collected(files: list[str]) -> dict[str, set[str]]:
    """The tests of each file, both with and without their parameters."""
    known: dict[str, set[str]] = {file: set() for file in files}
    for folder in sorted({file.partition("/")[0] for file in files}):
        inside = [file.partition("/")[2] for file in files if file.startswith(f"{folder}/")]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pytest", "--collect-only", "-q", *inside],
            cwd=ROOT / folder,
            capture_output=True,
            text=True,
            check=False,
        )
        for line in done.stdout.splitlines():
            file, separator, test = line.partition("::")
            if separator:
                path = file if file.startswith(f"{folder}/") else f"{folder}/{file}"
                known[path] |= {test, test.partition("[")[0]}
    return known


@each_document
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    """A path is relative to the root, to the document's folder or to one of our packages.

    Files that the reader of a tutorial writes are excepted.
    """
    places = [
        ROOT,
        document.parent,
        *(ROOT / name / "src" / name for name in ("admit_one", "shared_contracts")),
        ROOT / "admit_one",
        ROOT / "shared_contracts",
        *(ROOT / service for service in CONTRACT.topology),
        *(ROOT / service / service for service in CONTRACT.topology),
        *(
            app.parent
            for service in CONTRACT.topology
            for app in (ROOT / service).glob("*/services.py")
        ),
    ]
    text = text_of(document)
    written = {fence["info"].partition(" ")[2].lstrip("+") for fence in FENCE.finditer(text)}
    named = {found["path"] for found in A_PATH.finditer(FENCE.sub("", text))} - written

    assert [path for path in sorted(named) if is_ours(path) and not exists(path, places)] == []


def is_ours(path: str) -> bool:
    """Not a media type, a URL path or two words with a slash between them."""
    first = path.partition("/")[0]
    return "/" not in path or (ROOT / first).exists() or path.endswith((".py", ".md"))


def exists(path: str, places: list[Path]) -> bool:
    return any((place / path).exists() for place in places)


@each_document
def test_every_target_of_make_that_a_document_names_exists(document: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^|\$ |> )make ([a-z]+)", text_of(document), re.MULTILINE))

    assert named <= targets


@each_document
def test_every_management_command_that_a_document_names_exists(document: Path) -> None:
    places = ("admit_one/src", "payment_service", "student_service")
    commands = (p for at in places for p in ROOT.glob(f"{at}/**/management/commands/*.py"))
    ours = {path.stem for path in commands}
    django = {"migrate", "check", "makemigrations", "createsuperuser", "shell", "startapp", "test"}
    others = django | {"axes_reset_username"}
    named = set(re.findall(r"manage\.py ([a-z_]+)", text_of(document)))

    assert named <= ours | others


def test_every_decision_is_in_the_index_under_its_title() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("0*.md"))
    titles = [text_of(record).partition("\n")[0].removeprefix("# ") for record in records]
    index = [
        f"- {number}. [{title}]({record.name})"
        for record, (number, _, title) in zip(
            records, (title.partition(". ") for title in titles), strict=True
        )
    ]

    listed = [
        line for line in text_of(ROOT / "docs/adr/README.md").splitlines() if line[:2] == "- "
    ]
    assert listed == index


# settings


def settings_read() -> Iterator[str]:
    """The environment variables that the settings read, from the fields of their classes."""
    for file in [
        *(
            file
            for service in CONTRACT.topology
            for file in (ROOT / service / service).glob("*settings.py")
        ),
        ROOT / "payment_service" / "providers" / "environment.py",
        ROOT / "admit_one" / "src" / "admit_one" / "settings.py",
        ROOT / "admit_one" / "src" / "admit_one" / "web" / "settings.py",
        ROOT / "admit_one" / "src" / "admit_one" / "webhooks" / "settings.py",
    ]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield node.target.id


def test_every_setting_is_documented_and_every_documented_setting_is_read() -> None:
    services = EXAMPLE.partition("reads, whoever starts it")[2].partition("`make demo` on real")[0]
    documented = set(re.findall(r"^# ([A-Z][A-Z_]+) +\S", services, re.MULTILINE))

    assert set(settings_read()) == documented


def test_operations_explain_every_setting_and_no_other() -> None:
    headings = ("### Every process", "### `payment_service` only", "### `student_service` only")
    services = [name for heading in headings for name in rows(OPERATIONS, heading)]

    assert sorted(services) == sorted(set(settings_read()))


def events_logged() -> Iterator[str]:
    """The names of the events that the code logs. Fails if a call has none."""
    pass_on = ("logs.py", "announcer.py")
    places = (
        *("admit_one/src", "student_service/access_codes"),
        *("payment_service/subscriptions", "payment_service/providers"),
    )
    for file in (file for place in places for file in (ROOT / place).rglob("*.py")):
        for call in logging_calls(file) if file.name not in pass_on else ():
            name = call.args[1 if ast.unparse(call.func).endswith(".log") else 0]
            names = re.findall(r"'([a-z]+(?:_[a-z]+)+)'", ast.unparse(name))
            assert names, f"{file}:{call.lineno}: expected the name of an event"
            # It would take the place of the name in the record.
            assert "event" not in [field.arg for field in call.keywords], f"{file}:{call.lineno}"
            yield from names


def logging_calls(file: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            caller = ast.unparse(node.func.value)
            if caller.endswith(("logger", "announcer")):
                yield node


def test_the_library_readme_explains_every_setting_with_its_default() -> None:
    page = text_of(ROOT / "admit_one" / "README.md")
    documented = dict(re.findall(r"^\| `([A-Z_]+)` \|.*\| (.+) \|$", page, re.MULTILINE))
    [messaging] = (
        node
        for node in ast.parse(text_of(ROOT / "admit_one/src/admit_one/messaging/conf.py")).body
        if isinstance(node, ast.ClassDef) and node.name == "Messaging"
    )
    settings = {
        ast.unparse(node.target): node.value
        for node in messaging.body
        if isinstance(node, ast.AnnAssign)
    }
    plain = {
        name: ast.literal_eval(value)
        for name, value in settings.items()
        if isinstance(value, ast.Constant | ast.Tuple)
    }

    assert sorted(documented) == sorted(settings)
    assert {name: ast.literal_eval(documented[name].split("`")[1]) for name in plain} == plain


def test_operations_explain_every_event_of_the_logs_and_no_other() -> None:
    assert sorted(rows(OPERATIONS, "### What the logs say")) == sorted(set(events_logged()))


@each_document
def test_every_variable_in_a_document_is_in_the_example(document: Path) -> None:
    named = set(
        re.findall(r"\b((?:[A-Z]+_)+(?:URL|KEYS?|PREFIX|PORT|CAP|PASSWORD))\b", text_of(document))
    )
    inherited = {"CELERY_BROKER_URL"}  # mentioned to say that it is not used

    assert [
        name for name in sorted(named - inherited) if not re.search(rf"\b{name}\b", EXAMPLE)
    ] == []


# the wire


def test_the_wire_is_described_for_every_event() -> None:
    described = re.findall(r"^### `(\w+(?:\.v\d+)?)`$", WIRE, re.MULTILINE)

    assert sorted(described) == sorted(EVENTS)


@pytest.mark.parametrize("event_type", EVENTS)
def test_the_wire_names_every_field_of_an_event(event_type: str) -> None:
    assert rows(WIRE, f"### `{event_type}`") == list(EVENTS[event_type].model_fields)


def test_the_wire_names_every_attribute() -> None:
    named = set(rows(WIRE, "## The body"))

    assert named == {*Attributes.model_fields, "datacontenttype", "data"}


@pytest.mark.parametrize("event_type", EVENTS)
def test_the_documented_example_is_golden_and_fits_its_schema(event_type: str) -> None:
    [example] = blocks(WIRE, f"json {event_type}")
    event = EVENTS[event_type]
    schema = json.loads(CONTRACT.schema_path(event).read_text(encoding="utf-8"))

    Draft202012Validator(schema).validate(json.loads(example))
    assert json.loads(example) == json.loads(CONTRACT.golden(event))


def test_the_wire_names_every_exchange_and_queue() -> None:
    names = [
        name
        for service in CONTRACT.topology.values()
        for name in (service.exchange(), service.inbox(), service.dead())
    ]

    assert [name for name in names if f"`{name}`" not in WIRE] == []


def test_the_example_for_third_parties_needs_none_of_our_code() -> None:
    [example] = blocks(WIRE, "python third_party.py")
    nodes = list(ast.walk(ast.parse(example)))
    imported = {
        alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}

    assert {name.partition(".")[0] for name in imported} == {
        *("base64", "datetime", "json", "os", "uuid"),
        *("cryptography", "pika"),
    }


@each_document
def test_every_example_in_python_can_be_read(document: Path) -> None:
    for found in FENCE.finditer(text_of(document)):
        if found["info"].startswith("python"):
            ast.parse(found["text"])
        if found["info"].startswith("json"):
            json.loads(found["text"])
