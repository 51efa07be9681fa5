"""Which mailbox an address names: the daily cap counts mailboxes, not spellings."""

from __future__ import annotations

from admit_one.contract.fields import mailable
from admit_one.sealing import cipher
from django.conf import settings

GMAIL = {"gmail.com", "googlemail.com"}
"""Two names of one domain, which ignores dots (support.google.com/mail/answer/7436150)."""


def mailbox_hash(address: str) -> bytes:
    """The keyed hash by which mails to a mailbox are counted."""
    return cipher.lookup_hash(mailbox(address), settings.CODE_LOOKUP_KEY)


def mailbox(address: str) -> str:
    """One spelling of all addresses that probably are one mailbox. For counting only.

    Anyone can make up as many spellings as they like: by case, by a tag behind `+` (RFC 5233),
    which the large providers all ignore, and by dots at Gmail. Where a server takes them for
    different mailboxes, these share a cap, which delays some mails and loses none.
    """
    try:
        address = mailable(address)
    except ValueError:
        return address.lower()  # no mail will go there
    local, _, domain = address.lower().rstrip(".").rpartition("@")
    local = local.partition("+")[0] or local
    if domain in GMAIL:
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}@{domain}"
