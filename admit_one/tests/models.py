"""What the handlers under test have done: a table that shows an effect that came twice."""

from django.db import models


class Effect(models.Model):
    """One row each time that an event took effect."""

    subscription_id = models.UUIDField()
    user_id = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"{self.user_id} {self.subscription_id}"
