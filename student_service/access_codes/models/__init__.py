from .access_code import CODE_PURPOSE, AccessCode, Revocation
from .mail_intent import RECIPIENT_PURPOSE, MailIntent

__all__ = ["CODE_PURPOSE", "RECIPIENT_PURPOSE", "AccessCode", "MailIntent", "Revocation"]
