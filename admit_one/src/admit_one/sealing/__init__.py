"""Encryption at rest (sealing): the cipher, the keys, and their rotation.

    sealed = seal(code.encode(), "access-code", row_id)       before it is written
    code = unseal(row.sealed_code, "access-code", row.id)     Raises `Unsealable`

| Part | What it is |
|---|---|
| `cipher` | AES-256-GCM, keyed hashes, fingerprints |
| `derived` | a key for each use, from one key of the settings |
| `keyring` | which columns are sealed, which setting has which key |
| `canaries` | refuse a process that was given the wrong keys |
| `key_watch` | checks the keys of a process when it starts, and while it runs |
| `holders` | which running processes have which keys |
| `rotation` | `manage.py rotate_keys` |
"""

from .cipher import Unsealable, lookup_hash, seal, unseal
from .keyring import Keyring, Sealed

__all__ = ["Keyring", "Sealed", "Unsealable", "lookup_hash", "seal", "unseal"]
