"""How two services trust what they send each other, whoever else can reach the broker.

Each service has wire keys, which are secret, and knows the public keys of the others. It signs the
events that make another service tell, move or accept a secret, and seals the fields that only one
service may read. docs/events.md describes both for other languages.

| Part | What it holds |
|---|---|
| `keys` | wire keys and their public halves |
| `signatures` | Ed25519 over the receiver's name and the body |
| `sealing` | AES-256-GCM under a key that only two services have (X25519, HKDF) |
"""
