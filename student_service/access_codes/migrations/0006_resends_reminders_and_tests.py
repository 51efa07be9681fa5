"""Codes are mailed again, users warned that they expire, and mails of tests withheld."""

import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access_codes", "0005_what_lists_are_narrowed_to")]
    operations = [
        migrations.CreateModel(
            "Resend",
            fields=[
                (
                    "access_code",
                    models.OneToOneField(
                        db_column="subscription_id",
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="resend",
                        serialize=False,
                        to="access_codes.accesscode",
                    ),
                ),
                ("version", models.PositiveBigIntegerField(db_default=0, default=0)),
                (
                    "answered",
                    models.PositiveBigIntegerField(
                        db_default=0, default=0, help_text="the version of the latest answer"
                    ),
                ),
                (
                    "answered_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        default=django.utils.timezone.now,
                        help_text="of no meaning until it is answered",
                    ),
                ),
                (
                    "refused",
                    models.CharField(
                        blank=True,
                        db_default="",
                        default="",
                        help_text="why, if it was",
                        max_length=300,
                    ),
                ),
                (
                    "recipient",
                    models.BinaryField(
                        help_text="the address as the payment side corrected it, sealed", null=True
                    ),
                ),
                ("corrected_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddField(
            "accesscode",
            "test",
            models.BooleanField(
                db_default=False, default=False, help_text="paid with a test key"
            ),
        ),
        migrations.AddField(
            "mailintent",
            "kind",
            models.CharField(
                choices=[
                    ("code", "the code's own mail"),
                    ("resend", "the same code again"),
                    ("expiring_soon", "until when the code works"),
                ],
                db_default="code",
                default="code",
                max_length=16,
            ),
        ),
        migrations.AddField(
            "mailintent",
            "valid_until",
            models.DateTimeField(
                blank=True,
                help_text="as it says, if it says that the code expires soon",
                null=True,
            ),
        ),
        migrations.AlterField(
            "mailintent",
            "state",
            models.CharField(
                choices=[
                    ("pending", "waits to be sent"),
                    ("sending", "is being sent"),
                    ("unknown", "may or may not have been sent"),
                    ("sent", "was accepted by the mail server"),
                    ("failed", "will not be sent; the last error says why"),
                    ("suppressed", "will not be sent: too many mails to one address"),
                    ("withdrawn", "will not be sent: its code is revoked, or it would be wrong"),
                    ("withheld", "will not be sent: a test, and not to TEST_MAIL_ADDRESSES"),
                ],
                db_default="pending",
                default="pending",
                max_length=16,
            ),
        ),
        migrations.AddField(
            "terms",
            "ends_since",
            models.DateTimeField(
                help_text="since when valid_until is known here; null: since long ago", null=True
            ),
        ),
        migrations.AddField(
            "terms",
            "expiry_noted",
            models.BooleanField(
                db_default=False,
                default=False,
                help_text="whether its user was warned that it expires soon, or need not be",
            ),
        ),
    ]
