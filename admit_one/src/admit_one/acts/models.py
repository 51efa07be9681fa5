"""The audit record, one row per act. Rows are kept forever, even after their target is deleted."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django.db import models
from django.db.models.fields.json import KT
from django.db.models.functions import Now

from admit_one.masking import harmless, mask

from .who import LONGEST, login


class Act(models.Model):
    """What a person did to a target: who, when, why, and with what result.

    The target may be deleted later, so `facts` keeps what it was.
    """

    id = models.BigAutoField(primary_key=True)
    area = models.CharField(max_length=32, help_text="part of the system, such as set_aside")
    action = models.CharField(max_length=32, help_text="what was done, such as replay")
    target = models.CharField(max_length=64, blank=True, help_text="the target's id")
    group = models.CharField(max_length=255, blank=True, help_text="the target's group, if any")
    subject = models.CharField(max_length=255, blank=True, help_text="what the target is about")
    facts = models.JSONField(default=dict, blank=True, help_text="what the target was")
    by = models.CharField(max_length=LONGEST)
    reason = models.TextField(blank=True)
    at = models.DateTimeField(db_default=Now())
    result = models.CharField(
        max_length=16, blank=True, help_text="empty if the process ended before there was one"
    )
    detail = models.TextField(blank=True, help_text="the error, if there was one")

    class Meta:
        db_table = "acts_act"
        default_permissions = ("view",)
        indexes: ClassVar = [
            models.Index(fields=["area", "target"], name="acts_act_target"),
            models.Index(
                fields=["group", "action", "at"],
                name="acts_act_group",
                condition=~models.Q(group=""),
            ),
            # What the pages for operators filter and search by, the newest first.
            models.Index(fields=["area", "id"], name="acts_act_area"),
            models.Index(fields=["action", "id"], name="acts_act_action"),
            models.Index(fields=["result", "id"], name="acts_act_result"),
            models.Index(fields=["subject"], name="acts_act_subject"),
            models.Index(fields=["by", "id"], name="acts_act_by"),
            models.Index(KT("facts__event_id"), name="acts_act_event"),
        ]

    def __str__(self) -> str:
        return harmless(f"{self.action} {self.target or self.group} by {self.by}")

    @classmethod
    def draft(
        cls, area: str, action: str, *, by: str | None = None, reason: str = "", **about: Any
    ) -> Self:
        """An unsaved act by `by`, or else by whoever runs this process. The reason is masked."""
        return cls(area=area, action=action, by=by or login(), reason=mask(reason), **about)
