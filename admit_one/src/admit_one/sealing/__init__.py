"""What rests in the database rests sealed: the cipher, the keys, and their rotation.

    sealed = seal(code.encode(), "access-code")        before it is written
    code = unseal(row.sealed_code, "access-code")      Raises `Unsealable`

| Room | What it is |
|---|---|
| `cipher` | AES-256-GCM, keyed hashes, fingerprints |
| `keyring` | which columns are sealed, which setting has which key |
| `canaries` | refuses a process that was given the wrong keys |
| `rotation`, `rotation_report` | `manage.py rotate_keys` |
"""

from .cipher import Unsealable, lookup_hash, seal, unseal
from .keyring import Keyring, Sealed

__all__ = ["Keyring", "Sealed", "Unsealable", "lookup_hash", "seal", "unseal"]
