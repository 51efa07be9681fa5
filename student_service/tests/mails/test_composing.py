from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage

import pytest
from access_codes.mails import access_code_mail
from access_codes.mails.composing import compose


def composed(plan: str = "gold", address: str = "ada@example.com") -> EmailMessage:
    letter = access_code_mail.letter("7K3M-Q9TX-2WBD-H5RN", plan)
    message = compose(letter, address=address, message_id="<1@admit-one.example>")
    return email.message_from_bytes(message.wire, policy=email.policy.default)


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    content: str = part.get_content()
    return content


def test_the_code_stands_in_both_versions_and_the_plan_too() -> None:
    message = composed()

    for kind in ("plain", "html"):
        assert "7K3M-Q9TX-2WBD-H5RN" in body(message, kind)
        assert "gold" in body(message, kind)


def test_a_plan_cannot_put_markup_into_the_mail() -> None:
    message = composed(plan="<img/src=//evil.example>&")

    assert "&lt;img/src=//evil.example&gt;&amp;" in body(message, "html")
    assert "<img/src=//evil.example>&" in body(message, "plain")


def test_the_mail_needs_nothing_from_the_net() -> None:
    html = body(composed(), "html")

    assert "http" not in html
    assert "<img" not in html
    assert "<script" not in html


def test_nothing_that_a_user_typed_stands_in_the_headers() -> None:
    message = composed(plan="secret-plan")

    headers = {name: str(value) for name, value in message.items()}
    assert "secret-plan" not in str(headers)
    assert "7K3M" not in str(headers)
    assert headers["Subject"] == "Your access code"
    assert headers["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize("address", ["a@b.example\nBcc: e@v.il", "a\r\nb@c.example"])
def test_an_address_with_a_line_break_is_refused(address: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (Django's own text)
        composed(address=address)
