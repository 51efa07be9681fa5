"""What this service seals, and what it hashes with a key, for `manage.py rotate_keys`."""

from admit_one.sealing.canaries import Keyring, Sealed

from . import codes
from .mails import sending
from .models import CODE_PURPOSE, RECIPIENT_PURPOSE, AccessCode, MailIntent

KEYRING = Keyring(
    sealed=(
        Sealed(
            AccessCode,
            "sealed_code",
            CODE_PURPOSE,
            hashes={"lookup_hash": codes.lookup, "lookup_hash_next": codes.lookup_next},
        ),
        # No second column: a daily cap that counts anew for once does no harm.
        Sealed(
            MailIntent,
            "recipient",
            RECIPIENT_PURPOSE,
            hashes={"recipient_hash": sending.recipient_hash},
        ),
    ),
    lookup="CODE_LOOKUP_KEY",
)
