"""Webhooks out: what happens to a client's things is sent to the URLs that it has named.

    webhooks.report("subscription.active", (About(…) for row in rows))

writes a delivery for each endpoint that listens to it, in the transaction of the change. A worker
sends them, again and again for three days (`sending`). The library knows no event: the service
names those that it has in its setting `WEBHOOK_EVENTS`.

| Part | What it is |
|---|---|
| `reporting`, `known` | writes deliveries; who listens to what, read every few seconds |
| `sending`, `claims`, `finishing` | the worker: what is due, and how each attempt ended |
| `attempt`, `networks`, `urls` | one request: which addresses it may go to, and what it may take |
| `outcome` | how it ended |
| `signing` | secrets, and signatures after Standard Webhooks |
| `endpoints`, `by_hand` | what clients and operators decide |
| `views`, `serializers` | the part of the API |
| `timeline` | the part of `manage.py why` |
| `settings` | what a service adds to its own |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from admit_one.front_page import lazily

if TYPE_CHECKING:
    from .reporting import About as About
    from .reporting import heard as heard
    from .reporting import report as report
    from .sending import send_due as send_due

__getattr__ = lazily(
    __name__, {".reporting": ["About", "heard", "report"], ".sending": ["send_due"]}
)
