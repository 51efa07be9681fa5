"""Log records name the event that they are about, and nothing sensitive, in both formats."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from urllib.parse import quote

import pytest
from admit_one.messaging.testing import an_envelope

from admit_one import logs, masking
from tests import rabbit
from tests.contract.events import AccessCodeCreated, UserSubscribed
from tools.system.eventually import eventually

ADDRESS, CODE, LOGIN = "ada@example.com", "NC1F-V45E-C5BD-ZGM6", "amqp://user:hunter2@host"
SECRETS = ("ada@", CODE, "hunter2")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(params=logs.FORMATS)
def log(request):
    """A logger that writes in one of the formats, and what it has written."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.FORMATS[request.param]())
    logger = logging.Logger("test")  # noqa: LOG001 (one of its own, with no handler of ours)
    logger.addHandler(handler)
    return logger, written.getvalue


@pytest.fixture
def line_log():
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.Line())
    logger = logging.Logger("test")  # noqa: LOG001
    logger.addHandler(handler)
    return logger, written.getvalue


@pytest.fixture
def json_log():
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.Json())
    logger = logging.Logger("test")  # noqa: LOG001
    logger.addHandler(handler)
    return logger, lambda: json.loads(written.getvalue())


class SecretError(Exception):
    pass


def fail_with(text: str) -> None:
    raise SecretError(text)


def test_secrets_are_masked_in_messages_arguments_tracebacks_stacks_and_causes(log):
    logger, written = log
    text = f"{ADDRESS} {CODE} {LOGIN}"
    logger.warning(text)
    logger.warning("%s and %r", text, {"code": CODE})
    try:
        try:
            fail_with(text)
        except SecretError as error:
            raise ValueError(text) from error
    except ValueError:
        logger.exception("failed", stack_info=True)
    with logs.about(subject=text):
        logger.warning("about somebody")

    shown = written()
    assert [secret for secret in SECRETS if secret in shown] == []
    assert "SecretError" in shown
    assert "a…@e….com" in shown or "a\\u2026@e\\u2026.com" in shown


def test_an_exception_text_cached_by_another_formatter_is_ignored(log):
    logger, written = log
    try:
        fail_with(CODE)
    except SecretError:
        record = logger.makeRecord("test", 40, __file__, 1, "failed", (), sys.exc_info())
    logging.Formatter().format(record)
    assert CODE in str(record.exc_text)
    logger.handle(record)

    assert CODE not in written()
    assert CODE in str(record.exc_text), "the record itself is left as it was"


class Silent:
    def __str__(self) -> str:
        raise ValueError(LOGIN)

    __repr__ = __str__


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("%d codes", (LOGIN,)),
        ("none wanted", (LOGIN,)),
        ("%(missing)s", ({"given": LOGIN},)),
        ("%s", (Silent(),)),
        (Silent(), ()),
    ],
    ids=["wrong kind", "too many", "missing", "silent argument", "silent message"],
)
def test_a_record_that_cannot_be_formatted_is_one_masked_line(log, capsys, message, arguments):
    logger, written = log

    logger.warning(message, *arguments)

    assert capsys.readouterr().err == ""
    assert written().count("\n") == 1
    assert "(not formatted: " in written()
    assert "hunter2" not in written()


@pytest.mark.parametrize(
    "fields",
    [None, ["a", "list"], {"silent": Silent()}, {1: 2, ("a", "b"): 3}],
    ids=["none", "list", "silent", "odd names"],
)
def test_a_record_with_fields_of_any_kind_is_written(log, capsys, fields):
    logger, written = log

    logger.warning("written", extra={"event": "happened", "fields": fields})

    assert capsys.readouterr().err == ""
    assert written().count("\n") == 1
    assert "happened" in written()


def test_a_json_record_has_only_numbers_that_json_knows(json_log):
    logger, record = json_log

    fields = {"share": float("nan"), "most": float("inf"), "count": 3, "seconds": 0.5}
    logger.warning("counted", extra={"event": "counted", "fields": fields})

    assert {name: record()[name] for name in fields} == {
        "share": "nan",
        "most": "inf",
        "count": 3,
        "seconds": 0.5,
    }


def test_a_json_record_is_always_one_line(log):
    logger, written = log
    logger.warning("two\nlines")
    if written().startswith("{"):
        assert len(written().splitlines()) == 1
        assert json.loads(written())["message"] == "two\nlines"


def test_a_json_record_names_its_event(json_log):
    logger, written = json_log
    envelope = an_envelope(UserSubscribed)
    with logs.about(**logs.facts(envelope)):
        logger.warning("seen")

    record = written()
    assert record["event_id"] == envelope.id
    assert record["event_type"] == "user_subscribed"
    assert record["subject"] == envelope.subject
    assert record["correlation_id"] == envelope.correlationid
    assert (record["level"], record["message"]) == ("WARNING", "seen")
    assert "causation_id" not in record


def test_a_record_about_a_reply_names_its_cause_and_trace(json_log):
    logger, written = json_log
    asked = an_envelope(UserSubscribed)
    reply = type(asked).of(asked.data, cause=asked.id, traceparent=TRACE)
    with logs.about(**logs.facts(reply)):
        logger.warning("seen")

    assert written()["causation_id"] == asked.id
    assert written()["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


def test_a_record_about_an_event_shows_no_sensitive_value_however_it_is_written(log):
    logger, written = log
    envelope = an_envelope(AccessCodeCreated)
    bare = envelope.data.access_code.replace("-", "")
    with logs.about_event(envelope):
        logger.warning("the code is %s", bare)

    assert bare not in written()


def test_the_context_of_records_ends_with_its_block(json_log):
    logger, written = json_log
    with logs.about(event_id="1"):
        pass
    logger.warning("nothing special")

    assert "event_id" not in written()


EVENT = {"event": "invoice_lost", "fields": {"invoice": 7, "reason": "no such file", "by": None}}


def test_a_line_ends_with_its_event_and_fields(line_log):
    logger, written = line_log
    logger.warning("invoice 7 is lost", extra=EVENT)

    assert written().endswith(
        ' WARNING invoice 7 is lost event=invoice_lost invoice=7 reason="no such file"\n'
    )


def test_a_json_record_has_event_and_fields_beside_the_common_keys(json_log):
    logger, written = json_log
    logger.warning("lost", extra={"event": "invoice_lost", "fields": {"invoice": 7, "level": "x"}})

    record = written()
    assert list(record)[:4] == ["time", "level", "logger", "message"]
    assert (record["event"], record["invoice"], record["level"]) == ("invoice_lost", 7, "WARNING")


def test_an_event_logger_fills_the_sentence_with_the_fields(caplog):
    logs.EventLogger("billing").error("invoice_lost", "{invoice} is lost {{}}", invoice="{x} %s")

    [record] = caplog.records
    assert (record.name, record.levelname) == ("billing", "ERROR")
    assert record.getMessage() == "{x} %s is lost {}"
    assert (record.event, record.fields) == ("invoice_lost", {"invoice": "{x} %s"})


def test_an_event_logger_below_the_level_costs_no_sentence(caplog):
    logging.getLogger("billing.quiet").setLevel("ERROR")
    logs.EventLogger("billing.quiet").info("unused", "{missing}")

    assert caplog.records == []


def test_fields_are_masked_too(log):
    logger, written = log
    logger.warning("x", extra={"event": "x", "fields": {"who": f"{ADDRESS} {CODE} {LOGIN}"}})

    assert [secret for secret in SECRETS if secret in written()] == []


@pytest.mark.parametrize("secret", ["hunter2-and-more", "p@ss/wörd"])
def test_every_configured_secret_is_masked_by_its_value(log, monkeypatch, secret):
    monkeypatch.setattr(masking, "_secrets", set())
    monkeypatch.setattr(masking, "_any_secret", None)
    masking.learn([secret])
    logger, written = log
    try:
        fail_with(f"login {secret} refused")
    except SecretError:
        logger.exception("with %s", secret, extra={"event": "x", "fields": {"password": secret}})
    with logs.about(subject=quote(secret)):
        logger.warning("%r", {"password": secret})

    for form in (secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1]):
        assert form not in written()
    assert "login *** refused" in written()


FORGED = "x\n2026-11-27 00:00:00,000 INFO all is well \x1b[2J\u202e\r"


@pytest.mark.parametrize("mistake", ["DisallowedHost", "TooManyFieldsSent"])
def test_what_django_refuses_is_one_line_without_a_traceback(log, mistake):
    logger, written = log
    logger.name = f"django.security.{mistake}"
    try:
        fail_with("evil.example")
    except SecretError as error:
        logger.exception("Invalid host: %s", error)  # noqa: TRY401

    assert written().count("\n") == 1
    assert "Invalid host: evil.example" in written()
    assert "Traceback" not in written()


def test_a_forged_line_is_escaped(line_log):
    logger, written = line_log
    logger.warning(FORGED, extra={"event": "x", "fields": {"said": FORGED}})

    [line] = written().splitlines()
    assert line.isprintable()
    assert "x\\n2026-11-27 00:00:00,000 INFO all is well \\x1b[2J\\u202e\\r" in line


def test_a_traceback_cannot_look_like_records(line_log):
    logger, written = line_log
    try:
        fail_with(FORGED)
    except SecretError:
        logger.exception("failed", stack_info=True)

    first, *others = written().splitlines()
    assert first.endswith("ERROR failed")
    assert [line for line in others if not line.startswith("  ") or not line.isprintable()] == []


SPEAKERS = """
import logging.config, sys
from admit_one import logs, masking
logging.config.dictConfig(logs.configuration(sys.argv[1]))
for name in ("billing.invoices", "celery.worker", "django.request"):
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.getLogger(name).log(level, f"{name} speaks")
"""


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        (
            "INFO",
            [
                *("INFO billing.invoices", "WARNING billing.invoices", "ERROR billing.invoices"),
                *("WARNING celery.worker", "ERROR celery.worker"),
                "ERROR django.request",
            ],
        ),
        ("ERROR", ["ERROR billing.invoices", "ERROR celery.worker", "ERROR django.request"]),
    ],
)
def test_every_app_logs_at_the_level_and_loud_libraries_less(level, heard):
    said = subprocess.run(
        [sys.executable, "-c", SPEAKERS, level], capture_output=True, text=True, check=True
    ).stderr

    assert [line.split(" ", 2)[2].removesuffix(" speaks") for line in said.splitlines()] == heard


def test_json_logs_name_the_failed_event_and_leak_nothing(start, prefix):
    failing = an_envelope(UserSubscribed, user_id="fail", email=ADDRESS)
    rabbit.send(prefix, failing.to_json(), an_envelope(UserSubscribed).to_json())
    process = start("consume_events", LOG_FORMAT="json")
    eventually(lambda: process.said("set aside as"))
    process.stop()

    records = [json.loads(line) for line in process.lines if line.startswith("{")]
    [kept] = [record for record in records if "set aside as" in record["message"]]
    assert kept["event_id"] == failing.id
    assert kept["subject"] == failing.subject
    assert {(record["service"], record["role"]) for record in records} == {
        ("student_service", "consumer")
    }
    assert ADDRESS not in "".join(process.lines)


def test_log_lines_about_a_retry_name_the_message(start, prefix):
    failing = an_envelope(UserSubscribed, user_id="fail")
    rabbit.send(prefix, failing.to_json())
    process = start("consume_events", LOG_FORMAT="json", TEST_RETRY_DELAYS="0,0")
    eventually(lambda: process.said("dead after attempt"))

    [dead] = [json.loads(line) for line in process.lines if "dead after attempt" in line]
    assert dead["event_id"] == failing.id
    assert dead["subject"] == failing.subject
