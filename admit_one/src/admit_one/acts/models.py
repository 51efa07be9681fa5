"""What people do, one row an act. Rows stay for ever, longer than what they are about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from django.db import models
from django.db.models.functions import Now

from admit_one.masking import harmless, mask


class Act(models.Model):
    """Somebody did something to something: who, when, why, and what came of it.

    What it was done to may be deleted later, so an act also keeps what that was (`facts`).
    """

    id = models.BigAutoField(primary_key=True)
    room = models.CharField(max_length=32, help_text="which part of the system, as set_aside")
    action = models.CharField(max_length=32, help_text="what was done, as replay")
    target = models.CharField(max_length=64, blank=True, help_text="the id of what it was done to")
    group = models.CharField(max_length=255, blank=True, help_text="of several, done to alike")
    subject = models.CharField(max_length=255, blank=True, help_text="what the target is about")
    facts = models.JSONField(default=dict, blank=True, help_text="what the target was")
    by = models.CharField(max_length=255)
    reason = models.TextField(blank=True)
    at = models.DateTimeField(db_default=Now())
    result = models.CharField(
        max_length=16, blank=True, help_text="empty: its process ended before there was one"
    )
    detail = models.TextField(blank=True, help_text="the error, if there was one")

    class Meta:
        db_table = "acts_act"
        default_permissions = ("view",)
        indexes: ClassVar = [
            models.Index(fields=["room", "target"], name="acts_act_target"),
            models.Index(
                fields=["group", "action", "at"],
                name="acts_act_group",
                condition=~models.Q(group=""),
            ),
        ]

    def __str__(self) -> str:
        return harmless(f"{self.action} {self.target or self.group} by {self.by}")

    @classmethod
    def draft(
        cls,
        room: str,
        action: str,
        *,
        by: str,
        reason: str,
        target: object = "",
        group: str = "",
        subject: str = "",
        facts: Mapping[str, str] | None = None,
        result: str = "",
    ) -> Self:
        """An act, not yet saved. Its reason is masked."""
        return cls(
            room=room,
            action=action,
            target=str(target),
            group=group,
            subject=subject,
            facts=dict(facts or {}),
            by=by,
            reason=mask(reason),
            result=result,
        )
