"""What people wrote with their acts, which goes when somebody is erased whom it was about."""

from __future__ import annotations

from django.db.models import QuerySet

from .models import Act

KEPT_FACTS = ("event_id", "type", "generation", "uses", "state", "message_id", "sent_at")
"""What no person has written."""


def erase(acts: QuerySet[Act]) -> None:
    """Who, when and what stays."""
    for act in acts:
        act.reason = act.detail = ""
        act.facts = {name: act.facts[name] for name in KEPT_FACTS if name in act.facts}
        act.save(update_fields=["reason", "detail", "facts"])
