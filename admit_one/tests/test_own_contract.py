"""A user's own contract: what it may contain, and which faults are reported by name."""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import jsonschema
import pytest
from admit_one.contract import Envelope, Event, Service, Topology
from admit_one.contract.errors import ContractError, Undeliverable
from admit_one.contract.examples import example_of
from admit_one.contract.package import ContractPackage
from admit_one.contract.registry import EVENTS
from admit_one.contract.schemas import faults, schema_of, write
from admit_one.messaging import conf, publish
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.why import timeline
from django.db import transaction
from pydantic import AliasChoices, AliasPath, BaseModel, Field

ID = UUID("019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10")


@pytest.fixture(autouse=True)
def events_of_a_test() -> Iterator[None]:
    """Classes register themselves; those of a test go with it."""
    before = dict(EVENTS)
    yield
    EVENTS.clear()
    EVENTS.update(before)


def an_event_class(
    type: str = "invoice_paid",  # noqa: A002 (the attribute's name)
    producer: str = "student_service",
    about: str = "number",
    fields: dict[str, Any] | None = None,
    **attributes: Any,
) -> Any:
    """A new subclass of Event, as a class statement would make it."""
    body = {
        "__module__": __name__,
        "__qualname__": "InvoicePaid",
        "__doc__": "An invoice was paid.",
        "__annotations__": {"number": str, **(fields or {})},
        "type": type,
        "producer": producer,
        "about": about,
        **attributes,
    }
    metaclass: Any = builtins.type(Event)
    return metaclass("InvoicePaid", (Event,), body)


@pytest.mark.parametrize("number", ["INV-7", "ÄÖ ü", "x" * 255, "a/b?c#d"])
def test_any_text_may_be_the_subject_and_is_read_back(number):
    envelope = Envelope.of(an_event_class()(number=number))

    assert Envelope.from_json(envelope.to_json()) == envelope
    assert envelope.subject == number


@pytest.mark.parametrize("number", ["", "x" * 256, "two\nlines", "nul\0"])
@pytest.mark.django_db
def test_a_subject_that_no_reader_takes_is_not_published(number):
    event = an_event_class()(number=number)

    with pytest.raises(Undeliverable, match=r"a subject \(number\)"), transaction.atomic():
        publish(event)

    assert OutboxMessage.objects.count() == 0


@pytest.mark.django_db
def test_without_a_subject_nothing_is_published():
    event = an_event_class(fields={"number": str | None})(number=None)

    with pytest.raises(Undeliverable, match=r"a subject \(number\)"), transaction.atomic():
        publish(event)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.django_db
def test_a_number_that_json_does_not_have_is_not_published(value):
    event = an_event_class(fields={"share": float})(number="7", share=value)

    with pytest.raises(Undeliverable, match="invoice_paid"), transaction.atomic():
        publish(event)


@pytest.mark.django_db
def test_why_finds_a_subject_with_capitals():
    with transaction.atomic():
        publish(an_event_class()(number="INV-7"))

    assert timeline.subject_of(" INV-7 ") == "INV-7"
    [step] = timeline.of("INV-7").steps
    assert step.what.startswith("invoice_paid")


@pytest.mark.parametrize(
    "name", ["", "a b", "../../x", "a/b", "ä", "two\nlines", "*", "#", ".x", "x" * 201]
)
def test_a_type_that_fits_no_routing_key_is_refused(name):
    with pytest.raises(TypeError, match="type: expected"):
        an_event_class(type=name)


@pytest.mark.parametrize("name", ["user_subscribed.v2", "com.example.invoice-paid", "InvoicePaid"])
def test_types_may_have_dots_hyphens_and_capitals(name):
    assert an_event_class(type=name).type == name


@pytest.mark.parametrize("name", ["", "a b", "a/b", "amq.x", "x" * 101, "two\nlines"])
def test_an_invalid_name_of_a_service_or_producer_is_refused(name):
    with pytest.raises(ValueError, match="expected a name"):
        Service(name)
    with pytest.raises(TypeError, match="producer"):
        an_event_class(producer=name)


def test_an_event_handled_twice_by_one_service_is_refused():
    event = an_event_class()

    with pytest.raises(ValueError, match="lms handles invoice_paid twice"):
        Service("lms", handles=(event, event))


def test_handles_takes_any_sequence_of_events_and_nothing_else():
    event: Any = an_event_class(producer="billing")
    not_events: Any = (UUID,)

    assert Service("lms", handles=[event]).handles == (event,)
    with pytest.raises(TypeError, match="handles: expected event classes"):
        Service("lms", handles=event)
    with pytest.raises(TypeError, match="handles: expected event classes"):
        Service("lms", handles=not_events)
    assert Topology(Service("billing"), Service("lms", handles=[event]))["lms"].handles == (event,)


@pytest.mark.parametrize("field", ["subject", "type", "about"])
@pytest.mark.filterwarnings("ignore:Field name:UserWarning")
def test_a_field_with_a_reserved_name_is_refused(field):
    annotations: Any = {"number": str, field: str}

    with pytest.raises(TypeError, match=f"every event has {field} already"):
        an_event_class(__annotations__=annotations)


@pytest.mark.parametrize(
    "field",
    [
        Field(alias="userId"),
        Field(validation_alias=AliasPath("user", "id")),
        Field(validation_alias=AliasChoices("userId", AliasPath("user", 0))),
        Field(exclude=True),
    ],
    ids=["alias", "path", "choices", "exclude"],
)
def test_a_field_that_no_reader_would_find_is_refused(field):
    with pytest.raises(TypeError, match=r"InvoicePaid\.user_id: no reader would find it"):
        an_event_class(fields={"user_id": Annotated[str, field]})


def test_an_alias_by_which_it_is_written_is_read_back():
    event_class = an_event_class(
        model_config={"serialize_by_alias": True},
        fields={"user_id": Annotated[str, Field(alias="userId")]},
    )
    envelope = Envelope.of(event_class(number="7", userId="ada"))

    assert Envelope.from_json(envelope.to_json()) == envelope


@pytest.mark.parametrize(
    ("attribute", "value"), [("about", None), ("type", 7), ("producer", None)], ids=str
)
def test_an_attribute_of_another_kind_is_named(attribute, value):
    with pytest.raises(TypeError, match=f"InvoicePaid: {attribute}"):
        an_event_class(**{attribute: value})


def test_a_subclass_without_a_type_of_its_own_is_not_handled():
    parent = an_event_class(producer="billing")
    metaclass: Any = builtins.type(Event)
    child = metaclass("Child", (parent,), {"__module__": __name__})

    with pytest.raises(TypeError, match="handles: expected event classes"):
        Service("lms", handles=[child])


def test_a_key_is_not_handled_and_retired_at_once():
    event = an_event_class(producer="billing")

    with pytest.raises(ValueError, match="lms handles invoice_paid, which it has retired"):
        Service("lms", handles=[event], retired=(("billing.events", "invoice_paid"),))


@pytest.mark.parametrize("retired", ["ab", ("billing.events", "old"), (("a", "b", "c"),), 7])
def test_retired_keys_must_be_pairs(retired):
    with pytest.raises(TypeError, match="retired: expected"):
        Service("lms", retired=retired)


def test_a_topology_takes_services_only():
    no_service: Any = "billing"

    with pytest.raises(TypeError, match="expected services, got 'billing'"):
        Topology(no_service)


@pytest.mark.django_db
def test_a_text_with_nul_is_not_published():
    event_class = an_event_class(fields={"note": str})

    with transaction.atomic():
        publish(event_class(number="7", note="the six characters \\u0000"))
    with pytest.raises(Undeliverable, match="NUL"), transaction.atomic():
        publish(event_class(number="7", note="\0"))

    assert OutboxMessage.objects.count() == 1


@pytest.mark.parametrize("attribute", ["correlation", "cause"])
@pytest.mark.parametrize("value", ["x" * 256, "two\nlines"])
@pytest.mark.django_db
def test_an_attribute_that_no_reader_takes_is_not_published(attribute, value):
    envelope = Envelope.of(an_event_class()(number="7"), **{attribute: value})

    with pytest.raises(Undeliverable, match="1 to 255 characters"), transaction.atomic():
        publish(envelope)


def test_sensitive_may_be_any_collection_of_names():
    event = an_event_class(sensitive=["number"])(number="INV-7")

    assert "INV-7" not in repr(event)
    with pytest.raises(TypeError, match="sensitive: not fields of it: colour"):
        an_event_class(type="other", sensitive=["colour"])


class Colour(Enum):
    RED = "red"


class Line(BaseModel):
    item: UUID
    tags: tuple[str, ...]


@pytest.mark.parametrize(
    "kind",
    [Decimal, date, Colour, Literal["a", "b"], int | None, list[Line], dict[str, int], bool],
    ids=str,
)
def test_the_first_golden_message_is_made_from_the_types(kind):
    envelope = example_of(an_event_class(fields={"value": kind}))

    raw = envelope.to_json()
    assert Envelope.from_json(raw).to_json() == raw
    jsonschema.Draft202012Validator(schema_of(type(envelope.data))).validate(json.loads(raw))


@pytest.mark.parametrize(
    "kind",
    [
        Any,
        Annotated[str, Field(pattern="^[A-Z]{3}$")],
        Annotated[int, Field(ge=5)],
        tuple[int, str],
    ],
    ids=["anything", "pattern", "bound", "pair"],
)
def test_a_field_without_a_fitting_example_is_named(kind):
    with pytest.raises(ContractError, match=r"value: give it an example, Field\(examples=\["):
        example_of(an_event_class(fields={"value": kind}))


def test_only_json_files_beside_the_schemas_must_belong_to_an_event(tmp_path, monkeypatch):
    package = tmp_path / "contract_of_a_test"
    package.mkdir()
    (package / "topology.py").write_text(
        "from admit_one.contract import Event, Service, Topology\n"
        "class Paid(Event):\n"
        "    type, producer, about = 'paid', 'billing', 'number'\n"
        "    number: str\n"
        "TOPOLOGY = Topology(Service('billing'))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    contract = ContractPackage("contract_of_a_test")
    assert len(list(write(contract))) == 2
    old = contract.schema_path(contract.events[0]).with_name("old.schema.json")
    for path in (old, old.with_name("__init__.py")):  # some build tools want the latter
        path.touch()

    assert list(faults(contract)) == [f"{old}: no event of contract_of_a_test has this type"]


def test_the_schema_of_a_class_without_a_docstring_is_valid():
    schema = schema_of(an_event_class(__doc__=None))

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["description"] == ""


def test_the_settings_still_know_the_contract_of_the_services():
    assert "payment_service" in conf.current().topology
