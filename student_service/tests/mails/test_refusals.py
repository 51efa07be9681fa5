"""What each refusal means: for its recipient, for later, or for us."""

from __future__ import annotations

import pytest
from access_codes.mails import refusals
from access_codes.mails.refusals import TABLE, Means, Row

RECIPIENT, LATER, SENDER = Means.RECIPIENT, Means.LATER, Means.SENDER


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.example)
def test_each_row_is_met_by_its_example(row: Row) -> None:
    """By that row and no earlier one."""
    code, _, text = row.example.partition(" ")
    at = "RCPT" if row.at == "RCPT" else "."

    refusal = refusals.read(int(code), text, at)

    assert refusal.means == row.means
    assert refusals.row_for(int(code), text, at) == row


@pytest.mark.parametrize(
    ("reply", "at", "means"),
    [
        # Gmail
        ("550 5.1.1 The email account that you tried to reach does not exist.", "RCPT", RECIPIENT),
        ("550 5.2.1 The email account that you tried to reach is disabled.", "RCPT", RECIPIENT),
        ("552 5.2.2 The email account that you tried to reach is over quota.", "RCPT", RECIPIENT),
        ("450 4.2.1 The user you are trying to contact is receiving mail too quickly", ".", LATER),
        ("550 5.4.5 Daily user sending quota exceeded. For more information …", ".", SENDER),
        ("550 5.7.26 This mail is unauthenticated, which poses a security risk", ".", SENDER),
        ("421 4.7.0 Try again later, closing connection.", "RCPT", LATER),
        # Exchange Online and Outlook
        ("550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found", ".", RECIPIENT),
        ("550 5.4.1 Recipient address rejected: Access denied.", "RCPT", LATER),
        ("550 5.5.0 Requested action not taken: mailbox unavailable", "RCPT", RECIPIENT),
        ("550 5.7.501 Service unavailable. Spam abuse detected", ".", SENDER),
        ("550 5.1.8 Access denied, bad outbound sender", ".", SENDER),
        ("554 5.2.252 SendAsDenied; codes not allowed to send as shop", ".", SENDER),
        ("451 4.7.500 Server busy. Please try again later", "RCPT", LATER),
        ("554 5.2.122 The recipient has exceeded their limit for messages", "RCPT", LATER),
        ("550 5.2.121 The recipient's hourly limit for this sender is exceeded", ".", LATER),
        ("550 5.1.90 You've reached your daily limit for message recipients", ".", SENDER),
        # Yahoo
        ("554 delivery error: dd This user doesn't have a yahoo.com account", ".", RECIPIENT),
        ("553 5.7.2 [TSS09] All messages from 192.0.2.1 will be deferred", "RCPT", SENDER),
        # SES, and relays in front of a provider
        ("454 Throttling failure: Daily message quota exceeded.", ".", SENDER),
        ("554 Message rejected: Email address is not verified.", ".", SENDER),
        ("554 5.7.0 Your message limit is exceeded. Try again later", ".", SENDER),
        ("554 5.7.1 <ada@example.org>: Relay access denied", "RCPT", SENDER),
        ("550 relaying denied", "RCPT", SENDER),
        ("530 5.7.0 Authentication required", "RCPT", SENDER),
        ("535 Authentication credentials invalid", "RCPT", SENDER),
        # Postfix, Exim, qmail
        ("550 5.1.1 <ada@x.example>: Recipient address rejected: User unknown", "RCPT", RECIPIENT),
        ("450 4.2.0 <ada@x.example>: Recipient address rejected: Greylisted", "RCPT", LATER),
        ("450 4.7.1 <mx.shop.example[192.0.2.1]>: Client host rejected: Greylisted", "RCPT", LATER),
        ("450 4.7.1 <codes@shop.example>: Sender address rejected: Greylisted", "RCPT", LATER),
        ("451 4.7.1 Your host is graylisted, try again in 300 seconds", "RCPT", LATER),
        (
            "450 4.1.8 <codes@shop.example>: Sender address rejected: Domain not found",
            "RCPT",
            SENDER,
        ),
        ("550 5.1.0 Sender address rejected: User unknown in virtual table", "RCPT", SENDER),
        ("450 4.7.1 Client host rejected: cannot find your hostname", "RCPT", SENDER),
        ("550 5.7.1 <a1b2c3>: Helo command rejected: Host not found", "RCPT", SENDER),
        ("550 Sender verify failed", "RCPT", SENDER),
        ("550 Your account has been disabled", "RCPT", SENDER),
        ("550 Administrative prohibition", "RCPT", SENDER),
        ("550 Unrouteable address", "RCPT", RECIPIENT),
        ("511 sorry, no mailbox here by that name (#5.1.1 - chkusr)", "RCPT", RECIPIENT),
        ("552 Requested mail action aborted: exceeded storage allocation", ".", RECIPIENT),
        ("550 5.1.0 Address rejected", "RCPT", RECIPIENT),
        ("550 5.2.0 <ada@x.example> - Recipient unavailable", ".", RECIPIENT),
        # About us, in the words of blocklists, Orange, Comcast and GMX
        ("550 Rejected due to DNSBL server response (bl.example - 192.0.2.1)", "RCPT", SENDER),
        ("550 Rejected: 192.0.2.1 is listed at work.drbl.example", "RCPT", SENDER),
        ("550 JunkMail rejected - mx.shop.example is in an RBL", "RCPT", SENDER),
        ("550 ip in prison", "RCPT", SENDER),
        # Quotas, trials and accounts of sending providers, without a status
        ("550 Account over its monthly allowance", "RCPT", SENDER),
        ("550 Monthly limit reached", "RCPT", SENDER),
        ("550 Out of credits, see your billing page", "RCPT", SENDER),
        ("550 Your subscription has expired", "RCPT", SENDER),
        ("550 Sandbox subdomains are for test purposes only", "RCPT", SENDER),
        ("550 Trial accounts mail to verified recipients only", "RCPT", SENDER),
        ("550 You must verify your domain first", "RCPT", SENDER),
        ("550 From header does not match login", ".", SENDER),
        ("550 <ada@x.example>: Bad DNS PTR resource record", "RCPT", SENDER),
        ("550 <ada@x.example>: Invalid DNS MX or A/AAAA resource record", "RCPT", SENDER),
        ("550 rejecting spoofed message", "RCPT", SENDER),
        ("550 Too many invalid recipients", "RCPT", SENDER),
        ("501 5.1.0 Emetteur invalide. Invalid Sender. OFR004_405 [405]", "RCPT", SENDER),
        ("550 5.2.0 Message rejected due to DMARC. Please see http://x.example", ".", SENDER),
        ("550 5.2.0 Mail rejete. Mail rejected. ofr_506 [506]", ".", LATER),
        # The same code means less where it is not about a recipient only.
        ("550 no", "RCPT", RECIPIENT),
        ("550 no", ".", LATER),
        ("554 no", "RCPT", LATER),
        ("500 what?", "DATA", LATER),
        ("554 5.6.1 Eight bit data not allowed", ".", LATER),
        # What looks like a status, and is part of an address
        ("554 host 5.1.1.7 said: no", ".", LATER),
    ],
)
def test_what_providers_answer(reply: str, at: str, means: Means) -> None:
    code, _, text = reply.partition(" ")

    assert refusals.read(int(code), text, at).means == means


def test_one_refusal_in_other_words_is_the_same() -> None:
    first = refusals.read(554, "5.7.1 <ada@example.org>: Relay access denied (4711)", "RCPT")
    other = refusals.read(554, "5.7.1 <bob@example.com>: Relay access denied (4712)", "RCPT")

    assert first == other


@pytest.mark.parametrize("code", range(400, 600))
@pytest.mark.parametrize("at", ["RCPT", "DATA", "."])
def test_every_refusal_means_something(code: int, at: str) -> None:
    assert refusals.read(code, "", at).means in Means
    assert code >= 500 or refusals.read(code, "5.1.1 no such user", at).means is LATER
