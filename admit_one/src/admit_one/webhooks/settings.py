"""Webhooks for a service: its environment inherits from `WebhookEnvironment` as well.

It says `WEBHOOK_ALLOWED_NETWORKS`, and `WEBHOOK_EVENTS`: the names of its events. `WEBHOOKS_APPS`
go into INSTALLED_APPS, and `tasks.send_webhooks` into the SCHEDULE of its wiring.
"""

from admit_one.environment import Environment, Networks


class WebhookEnvironment(Environment):
    """What a service that sends webhooks reads from its environment."""

    WEBHOOK_ALLOWED_NETWORKS: Networks = ()
    """Networks that are not public, to which webhooks may be sent all the same."""


WEBHOOKS_APPS = ["admit_one.webhooks"]
