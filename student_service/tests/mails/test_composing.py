from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage

import pytest
from access_codes.mails import wording
from access_codes.mails.composing import Letter, compose, name_of

CODE = "7K3M-Q9TX-2WBD-H5RN"


def a_letter(plan: str) -> Letter:
    return wording.letter("code", None, {"plan": name_of(plan)}, CODE)


def composed(plan: str = "gold", address: str = "ada@example.com") -> EmailMessage:
    letter = a_letter(plan)
    message = compose(letter, address=address, message_id="<1@admit-one.example>")
    return email.message_from_bytes(message.wire, policy=email.policy.default)


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    content: str = part.get_content()
    return content


def test_both_versions_contain_the_code_and_the_plan() -> None:
    message = composed()

    for kind in ("plain", "html"):
        assert "7K3M-Q9TX-2WBD-H5RN" in body(message, kind)
        assert "gold" in body(message, kind)


def test_a_plan_cannot_inject_markup() -> None:
    message = composed(plan="<b>gold&")

    assert "&lt;b&gt;gold&amp;" in body(message, "html")
    assert "<b>gold&" in body(message, "plain")


@pytest.mark.parametrize(
    "plan",
    [
        *(
            "https://evil.example/login",
            "HTTPS：／／evil",
            "//evil",
            "mailto:e@v",
            "e@v",
            r"\\evil\x",
        ),
        *(
            "evil.example",
            "www.evil",
            "evil．example",
            "evil。example",
            "evil｡example",
            "пример.рф",
        ),
        *("gold\u202edlog", "go\u200bld", "javascript:x", "+49:0900", "℀evil"),
    ],
)
def test_a_plan_that_would_be_a_link_is_left_out(plan: str) -> None:
    message = composed(plan=plan)

    assert "Your subscription is paid." in body(message, "html")
    assert "Your subscription is paid." in body(message, "plain")


@pytest.mark.parametrize("plan", ["gold", "pro-2.0", "v1.5b", "Prämie", "A&B", "50%", "family_4"])
def test_a_plan_that_is_a_name_is_shown(plan: str) -> None:
    assert f'the plan "{plan}" is paid.' in body(composed(plan=plan), "plain")


def test_the_mail_loads_nothing_from_the_network() -> None:
    html = body(composed(), "html")

    assert "http" not in html
    assert "<img" not in html
    assert "<script" not in html


def test_the_headers_contain_neither_plan_nor_code() -> None:
    message = composed(plan="secret-plan")

    headers = {name: str(value) for name, value in message.items()}
    assert "secret-plan" not in str(headers)
    assert "7K3M" not in str(headers)
    assert headers["Subject"] == "Your access code"
    assert headers["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize(
    "address",
    [
        *("a@x，y.example", "a@x＞.example", "a@x。example", "a@x․example", "a@ａ.example"),
        *("a@stra\u00dfe.example", "a@x\u200dy.example", "a@\u2100.example", "a@xn--a"),
        *("ü@x.example", "a@x..example", "a@" + "b" * 60 + ".ä" * 62),
    ],
)
def test_an_address_that_is_another_one_in_ascii_is_refused(address: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (some of them Python's own)
        composed(address=address)


@pytest.mark.parametrize(
    ("address", "recipient"),
    [
        ("ada@EXÄMPLE.example", "ada@xn--exmple-cua.example"),
        ("ada@exa\u0308mple.example", "ada@xn--exmple-cua.example"),
        ("Ada+x@Example.Example", "Ada+x@Example.Example"),
    ],
)
def test_the_mail_goes_to_whom_its_header_names(address: str, recipient: str) -> None:
    letter = a_letter("gold")
    mail = compose(letter, address=address, message_id="<1@admit-one.example>")

    assert mail.recipient == recipient
    assert composed(address=address)["To"] == recipient


@pytest.mark.parametrize("address", ["a@b.example\nBcc: e@v.il", "a\r\nb@c.example"])
def test_an_address_with_a_line_break_is_refused(address: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the message is Django's)
        composed(address=address)


@pytest.mark.parametrize("plan", ["gold", "Prämie", "Премия", "賞" * 400, "a" * 2_000])
def test_a_mail_has_seven_bits_and_short_lines(plan: str) -> None:
    """Whatever the server says about 8BITMIME: nothing is asked of it."""
    letter = a_letter(plan)
    wire = compose(letter, address="ada@example.com", message_id="<1@a.example>").wire

    assert wire.isascii()
    assert max(map(len, wire.split(b"\r\n"))) <= 998
    assert wire.count(b"\n") == wire.count(b"\r\n") == wire.count(b"\r")
    message = email.message_from_bytes(wire, policy=email.policy.default)
    for kind in ("plain", "html"):
        assert plan in body(message, kind)
        assert "7K3M-Q9TX-2WBD-H5RN" in body(message, kind)


@pytest.mark.parametrize(
    "address", ["a@x，y.com", "a@x＞.com", "a@x＠y.com", "a b@x.com", "<a@x.com", "a,b@x.com", "a@"]
)
def test_an_address_that_would_be_another_one_in_a_mail_is_refused(address: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (some are IDNA's)
        composed(address=address)
