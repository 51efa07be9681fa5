from .access_code import CODE_PURPOSE, PAID, AccessCode, Revocation
from .mail_intent import RECIPIENT_PURPOSE, MailIntent

__all__ = [
    "CODE_PURPOSE",
    "PAID",
    "RECIPIENT_PURPOSE",
    "AccessCode",
    "MailIntent",
    "Revocation",
]
