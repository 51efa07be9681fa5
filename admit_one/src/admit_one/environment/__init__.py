"""Settings from the environment: read once at the start, checked, and named when they are wrong.

| Room | What it holds |
|---|---|
| `reading` | `Environment`, the base of a service's own settings: reads all, names every fault |
| `fields` | kinds of settings: numbers, lists, keys |
| `addresses` | kinds of settings: where the database, the broker and the mail server are |

A kind is an annotation: `RETRIES: Annotated[int, whole(1, 10)] = 3`.
"""

from .addresses import BrokerUrl, DatabaseUrl, MailServer, MailUrl, Sender, database
from .fields import Key, OptionalKey, SealingKeys, SecretText, Words, whole
from .reading import Environment, Reads, Wrong, development

__all__ = [
    "BrokerUrl",
    "DatabaseUrl",
    "Environment",
    "Key",
    "MailServer",
    "MailUrl",
    "OptionalKey",
    "Reads",
    "SealingKeys",
    "SecretText",
    "Sender",
    "Words",
    "Wrong",
    "database",
    "development",
    "whole",
]
