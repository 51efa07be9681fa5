"""What this service seals, for `manage.py rotate_keys`."""

from admit_one.sealing.canaries import Keyring, Sealed

from .models import CODE_PURPOSE, Subscription

KEYRING = Keyring(sealed=(Sealed(Subscription, "access_code", CODE_PURPOSE),))
