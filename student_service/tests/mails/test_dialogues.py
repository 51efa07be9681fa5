"""Whatever a mail server says, in whatever order: a mail is sent only if the server took it.

`SMTP_DIALOGUES=20000` makes the tests at random play so many dialogues instead of a few hundred.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from enum import Enum, auto
from typing import NamedTuple

import pytest
from access_codes.mails import dialogue, finishing, refusals, sending, smtp
from access_codes.mails.attempt import Ending
from access_codes.mails.composing import Mail
from access_codes.mails.outage import Outage
from access_codes.mails.refusals import Means
from access_codes.models import MailIntent
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from tests.mails.scripted_server import (
    END_OF_CONTENT,
    GOOD,
    STEPS,
    Answer,
    Script,
    ScriptedServer,
    answer,
    cut,
)
from tests.mails.steps import Kept, always, of_bytes, subscribe, undeliverable

DIALOGUES = int(os.environ.get("SMTP_DIALOGUES", "250"))

State = MailIntent.State
UNAVAILABLE = "unavailable"
MAIL = of_bytes(b"Subject: hello\r\n\r\nhello\r\n.\r\nthere\r\n")
CONTENT = b"Subject: hello\r\n\r\nhello\r\n..\r\nthere"
"""What a server reads of it up to the end of the content."""


@pytest.fixture(autouse=True)
def as_long_as_it_takes(
    settings: Settings, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No deadline ends while the machine is only busy, and each does when the server is silent."""
    settings.EMAIL_TIMEOUT = settings.EMAIL_ACCEPT_TIMEOUT = 60
    monkeypatch.setattr(dialogue, "time", scripted.clock)
    monkeypatch.setattr(dialogue, "TICK", 0.01)


def hand_over(*mails: Mail) -> list[Ending | str]:
    """How mails end that are handed over in one session, up to the one that ends it."""
    endings: list[Ending | str] = []
    try:
        with smtp.SmtpSession() as session:
            for mail in mails or [MAIL]:
                attempt = session.send(mail, Kept())
                endings.append(attempt.ending)
    except smtp.ServerUnavailable:
        endings.append(UNAVAILABLE)
    return endings


# what the mails' states must be, written without looking at the mailer


class NoReply(Enum):
    MALFORMED = auto()
    UNFINISHED = auto()  # the client waits for the rest


class FirstReply(NamedTuple):
    code: int
    text: str
    rest: bytes
    """What follows it."""

    @property
    def kind(self) -> int:
        return self.code // 100


def first_reply(data: bytes) -> FirstReply | NoReply:
    code, texts, size = b"", list[str](), 0
    while b"\n" in data:
        line, data = data.split(b"\n", 1)
        line = line.removesuffix(b"\r")
        size += len(line)
        number, separator = line[:3], line[3:4]
        if not re.fullmatch(rb"[2-5][0-9]{2}", number) or code not in {b"", number}:
            return NoReply.MALFORMED
        if separator not in {b"", b" ", b"-"} or size > 65_536:
            return NoReply.MALFORMED
        code = number
        texts.append(line[4:].decode("utf-8", "replace"))
        if separator != b"-":
            return FirstReply(int(code), " ".join(texts), data)
    return NoReply.MALFORMED if len(data) > 8_192 else NoReply.UNFINISHED


IF_BROKEN: dict[str, Ending | str] = {
    "greeting": UNAVAILABLE,
    "EHLO": UNAVAILABLE,
    "HELO": UNAVAILABLE,
    "MAIL": UNAVAILABLE,
    "RCPT": Ending.DROPPED,
    "DATA": Ending.DROPPED,
    ".": Ending.LOST,
}
"""What it means that the dialogue breaks at a step. Until the dot is sent, nothing is lost."""


class Expected(NamedTuple):
    endings: set[Ending | str]
    """More than one only where it is a race."""
    goes_on: bool = False
    """Whether the session serves the next mail."""


def expected(script: Script, step: str = "greeting") -> Expected:
    """How the dialogue about a mail may end that begins with the server's answer at `step`."""
    while True:
        given = script[step]
        reply = first_reply(given.data)
        if isinstance(reply, NoReply):
            return Expected({IF_BROKEN[step]})
        following = next_step(step, reply)
        if following is None:
            return at_the_end(script, step, reply)
        if reply.rest or given.hang_up or given.reads is not None:
            return Expected(when_it_stops(step, reply, following))
        step = following


def next_step(step: str, reply: FirstReply) -> str | None:
    """None if the dialogue about this mail ends here."""
    if step == "EHLO" and reply.kind == 5 and reply.code != 554:
        return "HELO"
    if step == "." or reply.kind != (3 if step == "DATA" else 2):
        return None
    return "MAIL" if step == "EHLO" else STEPS[STEPS.index(step) + 1]


def at_the_end(script: Script, step: str, reply: FirstReply) -> Expected:
    over = bool(reply.rest or script[step].hang_up)
    if step == "." and reply.kind == 2:
        return Expected({Ending.SENT}, goes_on=not over)
    if reply.kind not in {4, 5} or IF_BROKEN[step] == UNAVAILABLE:
        return Expected({IF_BROKEN[step]})
    goes_on = reply.code != 421 and not over and is_reset(script["RSET"])
    return Expected({refusal(reply, step)}, goes_on)


def when_it_stops(step: str, reply: FirstReply, following: str) -> set[Ending | str]:
    """The server has said too much, or hangs up."""
    if step != "DATA":
        return {IF_BROKEN[following]}
    return {Ending.DROPPED} if reply.rest else {Ending.DROPPED, Ending.LOST}


def is_reset(given: Answer) -> bool:
    """Whether a session goes on after a refusal and this answer to RSET."""
    reply = first_reply(given.data)
    return isinstance(reply, FirstReply) and reply.kind == 2 and not (reply.rest or given.hang_up)


def refusal(reply: FirstReply, step: str) -> Ending:
    return {
        Means.RECIPIENT: Ending.REFUSED,
        Means.LATER: Ending.DEFERRED,
        Means.SENDER: Ending.SENDER_REFUSED,
    }[refusals.read(reply.code, reply.text, step).means]


# every code, and every byte, at every step

FORMS: dict[str, Callable[[int], Answer]] = {
    "a line": lambda code: answer(f"{code} 9.9.9 said\r\n"),
    "no text": lambda code: answer(f"{code}\r\n"),
    "lines": lambda code: answer(f"{code}-9.9.9 one\r\n{code}-\r\n{code} 9.9.9 two\r\n"),
    "parts": lambda code: Answer((f"{code}"[:2].encode(), f"{code} x\r\n"[2:].encode())),
}


def without_ehlo(step: str) -> Script:
    return {"EHLO": answer("502 what?\r\n")} if step == "HELO" else {}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("form", FORMS)
def test_every_reply_code_at_every_step(scripted: ScriptedServer, step: str, form: str) -> None:
    wrong: dict[int, object] = {}
    for code in range(200, 600):
        scripted.script = {**GOOD, **without_ehlo(step), step: FORMS[form](code)}
        [ending] = hand_over()
        if ending not in (right := expected(scripted.script).endings):
            wrong[code] = ending, right
        elif ending is Ending.SENT:
            assert step != "." or code // 100 == 2
            assert scripted.records[-1].contents == [CONTENT]

    assert wrong == {}


@pytest.mark.parametrize("form", FORMS)
def test_every_reply_code_to_a_login(
    scripted: ScriptedServer, settings: Settings, form: str
) -> None:
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "codes", "a password"
    offer = {"EHLO": answer("250-scripted\r\n250 AUTH PLAIN\r\n")}
    let_in = set[int]()
    for code in range(200, 600):
        scripted.script = {**GOOD, **offer, "AUTH": FORMS[form](code)}
        if hand_over() != [UNAVAILABLE]:
            let_in.add(code)

    assert let_in == set(range(200, 300))


@pytest.mark.parametrize("form", FORMS)
def test_no_reply_to_starttls_stands_for_tls(
    scripted: ScriptedServer, settings: Settings, form: str
) -> None:
    settings.EMAIL_USE_TLS = True
    offer = {"EHLO": answer("250-scripted\r\n250 STARTTLS\r\n")}
    endings = set[Ending | str]()
    for code in range(200, 600):
        reply = replace(FORMS[form](code), hang_up=True)
        scripted.script = {**GOOD, **offer, "STARTTLS": reply}
        endings |= set(hand_over())

    assert endings == {UNAVAILABLE}
    assert scripted.contents == []


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("reply", ["250-one\r\n250 two\r\n", "354 go on\r\n", "550-no\r\n550\r\n"])
def test_the_connection_ends_at_every_byte(scripted: ScriptedServer, step: str, reply: str) -> None:
    wrong: dict[int, object] = {}
    for at in range(len(reply) + 1):
        scripted.script = {**GOOD, **without_ehlo(step), step: cut(answer(reply), at)}
        [ending] = hand_over()
        if ending not in (right := expected(scripted.script).endings):
            wrong[at] = ending, right

    assert wrong == {}


def test_the_connection_ends_at_every_byte_of_the_mail(scripted: ScriptedServer) -> None:
    endings = set()
    for size in range(len(CONTENT + END_OF_CONTENT)):
        scripted.script = {**GOOD, "DATA": replace(GOOD["DATA"], reads=size)}
        endings |= set(hand_over())

    assert endings <= {Ending.DROPPED, Ending.LOST}
    assert scripted.contents == []


@pytest.mark.parametrize("code", [250, 251, 252, 254, 299])
def test_any_reply_of_class_2_to_rcpt_means_go_on(scripted: ScriptedServer, code: int) -> None:
    scripted.play(RCPT=f"{code} 2.1.5 a code of its own\r\n")

    assert hand_over() == [Ending.SENT]
    assert scripted.contents == [CONTENT]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("second", ["220", "250", "354", "421", "451", "550"])
def test_a_second_reply_that_comes_late_makes_no_mail_sent(
    scripted: ScriptedServer, step: str, second: str
) -> None:
    """It races with the next command, and may be read as the reply to that."""
    if step == "DATA" and second[0] == "2":
        return  # the next test
    late = Answer((GOOD[step].data, f"{second} again\r\n".encode()))
    scripted.script = {**GOOD, **without_ehlo(step), step: late}

    [ending] = hand_over()

    assert (ending is Ending.SENT) == (step == ".")


def test_a_success_that_came_before_the_dot_had_arrived_is_none(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    dot_is_sent, is_over = threading.Event(), threading.Event()
    put = dialogue.Dialogue.put

    def put_and_tell(self: dialogue.Dialogue, data: bytes) -> None:
        put(self, data)
        if data == b".\r\n":
            dot_is_sent.set()

    def serve() -> None:
        client, _ = listening.accept()
        with client, client.makefile("rb") as commands:
            for step in ("greeting", "EHLO", "MAIL", "RCPT", "DATA"):
                if step != "greeting":
                    commands.readline()
                client.sendall(GOOD[step].data)
            dot_is_sent.wait(30)
            client.sendall(b"250 taken\r\n")  # the dot waits for a place behind the content
            is_over.wait(30)

    monkeypatch.setattr(dialogue.Dialogue, "put", put_and_tell)
    long = of_bytes(b"a line of the mail\r\n" * 1_000)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        settings.EMAIL_PORT = listening.getsockname()[1]
        server = threading.Thread(target=serve)
        server.start()
        endings = hand_over(long)
        is_over.set()
        server.join(30)

    assert endings == [Ending.LOST]


def test_the_server_gets_the_mail_as_it_is(scripted: ScriptedServer) -> None:
    assert hand_over() == [Ending.SENT]

    [content] = scripted.contents
    assert content.replace(b"\r\n..", b"\r\n.") + b"\r\n" == MAIL.wire


# dialogues at random

TEXTS = [
    "",
    " ok",
    " 2.1.5 ok",
    " 4.7.1 grey",
    " 5.1.1 nobody",
    " 5.7.1 relay",
    " quota",
    " \x00\x1b",
]
MALFORMED = [
    b"", b"2", b"250", b"250 taken", b"250ok\r\n", b"abc\r\n", b"\r\n", b"\n", b"1000 x\r\n",
    b"150 x\r\n", b"650 x\r\n", b"25O x\r\n", b" 250 x\r\n", b"250-a\r\n", b"250-a\r\n251 b\r\n",
    b"250-a\r\n550 b\r\n", b"\xff\xfe\r\n", b"250_x\r\n", b"\xd9\xa2\xd9\xa5\xd9\xa0 x\r\n",
    b"250 " + b"x" * 9_000, (b"250-" + b"x" * 200 + b"\r\n") * 400 + b"250 x\r\n",
]  # fmt: skip

codes = st.one_of(st.sampled_from([250, 254, 354, 421, 451, 550, 554]), st.integers(200, 599))


@st.composite
def replies(draw: st.DrawFn) -> bytes:
    """A whole reply of one line or several."""
    code, end = draw(codes), draw(st.sampled_from(["\r\n", "\r\n", "\n"]))
    texts = draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3))
    first = "".join(f"{code}-{text[1:]}{end}" for text in texts[:-1])
    return f"{first}{code}{texts[-1]}{end}".encode()


anything = st.one_of(
    replies(),
    st.tuples(replies(), replies()).map(b"".join),
    replies().map(lambda reply: reply * 2),
    st.sampled_from(MALFORMED),
)
pauses = st.sampled_from([0.0, 0.0, 0.01])
sizes_read = st.none() | st.integers(0, len(CONTENT + END_OF_CONTENT) - 1)


@st.composite
def answers(draw: st.DrawFn, step: str) -> Answer:
    """One reply, two, none, or something else; late, in parts, and with the connection's end."""
    data, hang_up = draw(anything), False
    if draw(st.integers(0, 3)) == 0:
        data, hang_up = data[: draw(st.integers(0, len(data)))], True
    first = first_reply(data)
    whole = len(data) - len(first.rest) if isinstance(first, FirstReply) else len(data)
    at = draw(st.integers(0, whole))
    # What follows the first reply comes with it: later, it would race with the next command.
    parts = tuple(part for part in (data[:at], data[at:]) if part) if at < whole else (data,)
    silent = first is NoReply.UNFINISHED and not hang_up
    reads = draw(sizes_read) if step == "DATA" and data[:1] == b"3" else None
    return Answer(parts, hang_up, draw(pauses), reads, silent)


ANSWERS = {step: answers(step) for step in (*STEPS, "RSET", "QUIT")}


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """A dialogue that goes well up to one step, and anyhow from there."""
    bad = draw(st.integers(0, len(STEPS)))
    script = {**GOOD, **(without_ehlo("HELO") if draw(st.integers(0, 5)) == 0 else {})}
    if bad < len(STEPS):
        script[STEPS[bad]] = draw(ANSWERS[STEPS[bad]])
    for step in (*STEPS[bad + 1 :], "RSET", "QUIT"):
        if draw(st.booleans()):
            script[step] = draw(ANSWERS[step])
    return script


at_random = settings(
    max_examples=DIALOGUES // 2,  # of two dialogues and more
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
IN_TIME = max(120, DIALOGUES)
"""Seconds."""


@pytest.mark.timeout(IN_TIME)
@at_random
@given(played=st.lists(scripts(), min_size=2, max_size=4))
def test_no_reply_to_one_mail_counts_for_the_next(
    scripted: ScriptedServer, played: list[Script]
) -> None:
    scripted.script, *scripted.next_mails = played
    scripted.records.clear()
    mails = [of_bytes(f"mail {n}, {'long' * 20}\r\n".encode()) for n in range(len(played))]

    endings = hand_over(*mails)

    assert_as_expected(endings, played)
    sent = [
        m.wire.strip() for m, ending in zip(mails, endings, strict=False) if ending is Ending.SENT
    ]
    assert set(sent) <= set(scripted.contents)


def assert_as_expected(endings: list[Ending | str], played: Sequence[Script]) -> None:
    """`endings` are those of the mails of one session, in order."""
    step, goes_on = "greeting", True
    for ending, script in zip(endings, played, strict=False):
        right = expected(script, step) if goes_on else Expected({UNAVAILABLE})
        assert ending in right.endings
        step, goes_on = "MAIL", right.goes_on
    assert len(endings) == len(played) or endings[-1] == UNAVAILABLE


@pytest.mark.django_db
@pytest.mark.timeout(IN_TIME)
@at_random
@given(played=st.lists(scripts(), min_size=2, max_size=4))
def test_a_mails_state_is_what_the_server_answered(
    scripted: ScriptedServer, played: list[Script]
) -> None:
    with transaction.atomic():
        [intent] = subscribe("ada@example.com")
        reported = len(undeliverable())
        doubts = copies = 0
        for script in played:
            scripted.script = script
            scripted.records.clear()
            sending.outage = Outage()
            MailIntent.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
            sending.send_due_mails(always)
            intent.refresh_from_db()

            endings = expected(script).endings
            if len(endings) > 1:  # the row itself shows how the race went
                lost = intent.state == State.UNKNOWN and intent.doubts > doubts
                endings = {Ending.LOST if lost else Ending.DROPPED}
            [ending] = endings
            whole = len(scripted.contents)
            assert whole <= 1
            assert whole or ending is not Ending.SENT
            doubts += ending is Ending.LOST
            copies += whole and not refuses(script["."])
            assert copies <= finishing.MAX_DOUBTS
            assert intent.doubts == doubts
            assert intent.state == state(ending, doubts)
            ended = ending in {Ending.SENT, Ending.REFUSED} or doubts == finishing.MAX_DOUBTS
            assert (intent.next_attempt_at is None) == ended
            failed = intent.state == State.FAILED
            assert len(undeliverable()) - reported == failed
            if ended:
                break
        transaction.set_rollback(True)


def refuses(given: Answer) -> bool:
    reply = first_reply(given.data)
    return isinstance(reply, FirstReply) and reply.kind in {4, 5}


def state(ending: Ending | str, doubts: int) -> str:
    if ending is Ending.SENT:
        return State.SENT
    if doubts:
        return State.UNKNOWN
    return State.FAILED if ending is Ending.REFUSED else State.PENDING
