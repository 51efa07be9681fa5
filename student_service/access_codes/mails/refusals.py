"""What a mail server's refusal means: whose fault it is, and so what becomes of the mail.

A row of the table names status codes of RFC 3463 without their class (`1.1` is 4.1.1 and 5.1.1),
or, for replies without a telling one, reply codes and words. The first row that matches counts.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple

STATUS = re.compile(r"(?<![\d.])[45]\.(\d{1,3}\.\d{1,3})(?!\.?\d)")
UNTELLING = re.compile(r"|0\.\d+|[125]\.0")
"""No status, "other" or undefined, and what Outlook answers about mailboxes it does not have."""


class Means(Enum):
    RECIPIENT = auto()
    """It is about this recipient, for good: the mail ends."""
    LATER = auto()
    """It is about this mail, this server or this moment: the mail is tried again later."""
    SENDER = auto()
    """It may be about us (account, host, policy, quota): tried again later, and if many mails in
    a row meet it, all wait."""
    TOO_MANY = auto()
    """We have too many connections, or are too fast: tried again later over fewer, or, with one
    connection, as the recipient's."""


class Refusal(NamedTuple):
    means: Means
    kind: str
    """Refusals of one kind are the same refusal, whatever else their texts say."""


class Row(NamedTuple):
    means: Means
    example: str
    """A reply to which this row applies; the tests send it."""
    status: str = ""
    """A regular expression for the whole status without its class; empty: an untelling one."""
    code: str = "..."
    words: str = ""
    at: str = ".*"
    """The commands that it may answer; the final dot is `.`."""


OUR_QUOTA = (
    r"\bquota|rate (limit|exceeded)|(sending|daily|hourly|message|mail) (limit|rate)"
    r"|limit.{0,40}exceeded|throttl|too many (messages|mails|emails|(invalid )?recipients)"
)
OUR_ACCOUNT = (
    rf"{OUR_QUOTA}|\brelay|authenticat|access denied|not (allowed|permitted|authori[sz]ed)|policy"
    r"|administrative|blocked|block ?list|black ?list|\bspam|\bspf\b|dmarc|dkim|not verified"
    r"|suspended|sender|reputation|\bdns|\bptr\b|\bd?rbl\b|\blisted\b|\bip\b|\bjunk|spoof"
    r"|sandbox|\btrial\b|\bverif(y|ied)\b|allowance|\bcredits?\b|billing|subscription|\blogin\b"
    r"|limit reached|\b(daily|weekly|monthly) limit"
)
NAMES_US = (
    r"\bsender\b.{0,20}(address|domain|verif|reject|refused|denied|unknown)|\bhelo\b"
    r"|client host|your (host|ip|account)"
)
"""Postfix reports what it holds against sender, HELO name or host as its answer to RCPT."""
OUR_CONNECTIONS = (
    r"(concurrent|simultaneous|too many).{0,20}(connections?|sessions?)|thread limit"
    r"|connections?.{0,10}limit"
)
ITS_MAILBOX = (
    r"(user|mailbox|recipient|address).{0,40}(unknown|unavailable|not found|disabled"
    r"|inactive|does ?n.t exist|does not exist|invalid|full)|no such|unknown (user|recipient)"
    r"|does ?n.t have|no mailbox"
)

RECIPIENT, LATER, SENDER, TOO_MANY = Means

TABLE = (
    # Grey-listing passes for the mail that comes again, not for another: it must hold nothing, even
    # if it names our host or sender.
    Row(
        LATER,
        "450 4.7.1 <mx.shop.example>: Client host rejected: Greylisted",
        ".*",
        code="4..",
        words="gr[ae]y.?list",
    ),
    # Office 365 and others say it at the final dot.
    Row(
        TOO_MANY,
        "432 4.3.2 Concurrent connections limit exceeded",
        ".*",
        code="4..",
        words=OUR_CONNECTIONS,
    ),
    # Whatever the status: about us, and said so.
    Row(SENDER, "504 5.5.2 <a1b2c3>: Helo command rejected: need a name", ".*", words=NAMES_US),
    # Replies of class 4: whatever they are about, it passes.
    # Not x.7: that may be grey-listing under another name.
    Row(SENDER, "450 4.4.5 Daily sending quota exceeded", "4\\.5", code="4.."),
    Row(LATER, "452 4.2.2 The recipient's mailbox is over quota", "2\\..*", code="4.."),
    Row(
        SENDER, "454 Throttling failure: Daily message quota exceeded", code="4..", words=OUR_QUOTA
    ),
    Row(SENDER, "451 4.7.1 Hourly sending limit exceeded", ".*", code="4..", words=OUR_QUOTA),
    Row(LATER, "451 4.7.1 Try again later", ".*", code="4.."),
    # Addresses.
    Row(SENDER, "550 5.1.8 Access denied, bad outbound sender", "1\\.[78]"),
    Row(SENDER, "550 5.1.90 You have reached your daily limit for recipients", "1\\.90"),
    Row(RECIPIENT, "550 5.1.1 No such user", "1\\.[1-9]\\d*"),
    # Mailboxes.
    Row(SENDER, "554 5.2.252 SendAsDenied; not allowed to send as this sender", "2\\.252"),
    Row(LATER, "550 5.2.1 The user is receiving mail at a rate that …", "2\\.1", words=r"\brate\b"),
    Row(LATER, "554 5.2.122 The recipient exceeded their limit per hour", "2\\.12[12]"),
    Row(RECIPIENT, "552 5.2.2 Mailbox is over quota", "2\\.[1-9]\\d*"),
    # Systems, routes, dialogues, contents: nobody's mailbox.
    Row(LATER, "554 5.3.0 Other mail system problem", "3\\..*"),
    Row(SENDER, "550 5.4.5 Daily user sending quota exceeded", "4\\.5"),
    Row(LATER, "550 5.4.1 Recipient address rejected: Access denied", "4\\..*"),
    Row(LATER, "554 5.5.1 Error: no valid recipients", "5\\.[1-9]\\d*"),
    Row(LATER, "554 5.6.1 Eight bit data not allowed", "6\\..*"),
    # Security and policy, ours or the recipient's: one such refusal does not show which.
    Row(SENDER, "554 5.7.1 Relay access denied", "7\\..*"),
    # Nothing telling: by the words and the reply code.
    Row(SENDER, "530 Authentication required", code="53[0458]"),
    Row(RECIPIENT, "552 Mailbox quota exceeded", code="552"),
    Row(RECIPIENT, "550 5.5.0 Requested action not taken: mailbox unavailable", words=ITS_MAILBOX),
    Row(SENDER, "554 Message limit for this account exceeded. Try again later", words=OUR_ACCOUNT),
    Row(RECIPIENT, "556 Domain does not accept mail", code="556"),
    Row(RECIPIENT, "550 Requested action not taken", code="55[013]", at="RCPT"),
    Row(LATER, "554 Transaction failed"),
    # A status that no row names.
    Row(LATER, "550 5.9.1 A status of a later RFC", ".*"),
)


def read(code: int, text: str, at: str) -> Refusal:
    """What a refusal with this code and text means, as the answer to the command `at`."""
    return Refusal(row_for(code, text, at).means, f"{code} {_status(text)}".rstrip())


def row_for(code: int, text: str, at: str) -> Row:
    status = _status(text)
    return next(row for row in TABLE if _applies(row, str(code), status, text, at))


def _status(text: str) -> str:
    match = STATUS.search(text)
    return match[1] if match else ""


def _applies(row: Row, code: str, status: str, text: str, at: str) -> bool:
    return (
        (re.fullmatch(row.status, status) if row.status else UNTELLING.fullmatch(status))
        is not None
        and re.fullmatch(row.code, code) is not None
        and re.fullmatch(row.at, at) is not None
        and re.search(row.words, text, re.IGNORECASE) is not None
    )
