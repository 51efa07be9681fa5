"""Codes are mailed again at a client's request, and users are warned that they expire soon."""

from admit_one.database.changes import KeepTimeOfChange
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0010_subscriptions_of_orders")]
    operations = [
        migrations.AddField(
            "subscription",
            "email_corrected",
            models.BooleanField(
                default=False,
                db_default=False,
                help_text="whether a client has corrected the address",
            ),
        ),
        migrations.AddField(
            "subscription",
            "resend_version",
            models.PositiveBigIntegerField(
                default=0,
                db_default=0,
                help_text="raised with each request to mail the code again",
            ),
        ),
        migrations.AddField(
            "subscription", "resend_requested_at", models.DateTimeField(null=True)
        ),
        migrations.AddField(
            "subscription",
            "resend_answered",
            models.PositiveBigIntegerField(
                default=0, db_default=0, help_text="the version that the student side has answered"
            ),
        ),
        migrations.AddField("subscription", "resend_answered_at", models.DateTimeField(null=True)),
        migrations.AddField(
            "subscription",
            "resend_refused",
            models.CharField(
                max_length=300, default="", db_default="", blank=True, help_text="why, if it was"
            ),
        ),
        migrations.AddField(
            "subscription",
            "resend_request_id",
            models.CharField(
                max_length=36,
                default="",
                db_default="",
                blank=True,
                help_text="event id of the last one",
            ),
        ),
        migrations.AddField(
            "subscription",
            "resend_requests",
            models.PositiveIntegerField(
                default=0, db_default=0, help_text="events for the latest request"
            ),
        ),
        migrations.AddField(
            "subscription",
            "resend_next_at",
            models.DateTimeField(null=True, help_text="when it is repeated"),
        ),
        migrations.AddField(
            "subscription",
            "expiring_until",
            models.DateTimeField(
                help_text="the latest valid_until of which the user was warned",
                null=True,
            ),
        ),
        migrations.AddField(
            "subscription",
            "expiring_soon_at",
            models.DateTimeField(help_text="when the user was warned", null=True),
        ),
        KeepTimeOfChange("subscription", "updated_at"),  # SQLite has made the table again
    ]
