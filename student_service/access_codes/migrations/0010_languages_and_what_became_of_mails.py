"""The language of mails, and what providers report of them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access_codes", "0009_an_index_for_ends")]
    operations = [
        migrations.AddField(
            "accesscode",
            "language",
            models.CharField(
                help_text="of the mails, BCP 47; null for MAIL_LANGUAGE", max_length=35, null=True
            ),
        ),
        migrations.AlterField(
            "mailintent",
            "kind",
            models.CharField(
                choices=[
                    ("code", "the code's own mail"),
                    ("resend", "the same code again"),
                    ("replaced", "the code in place of an earlier one"),
                    ("expiring_soon", "until when the code works"),
                ],
                db_default="code",
                default="code",
                max_length=16,
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
                    ("suppressed", "will not be sent: its mailbox had too many, or gets no more"),
                    ("withdrawn", "will not be sent: its code is revoked, or it would be wrong"),
                    ("withheld", "will not be sent: a test, and not to TEST_MAIL_ADDRESSES"),
                ],
                db_default="pending",
                default="pending",
                max_length=16,
            ),
        ),
        migrations.AddField(
            "mailintent",
            "provider_id",
            models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="the provider's own id",
                max_length=255,
            ),
        ),
        migrations.AddField(
            "mailintent",
            "reported",
            models.CharField(
                blank=True,
                choices=[
                    ("", "nothing"),
                    ("deferred", "not delivered yet, or bounced softly"),
                    ("delivered", "reached the recipient's mail server"),
                    ("dropped", "was given up by the provider, for no fault of the mailbox"),
                    ("bounced", "bounced: there is no such mailbox"),
                    ("complained", "was reported as spam by its recipient"),
                ],
                db_default="",
                default="",
                help_text="what the provider has reported of it",
                max_length=16,
            ),
        ),
        migrations.AddField(
            "mailintent", "reported_at", models.DateTimeField(blank=True, null=True)
        ),
        migrations.AddField(
            "mailintent",
            "lifted_at",
            models.DateTimeField(
                blank=True,
                help_text="when an operator allowed mails to its mailbox again",
                null=True,
            ),
        ),
    ]
