"""Persons are erased."""

from admit_one.database.changes import KeepTimeOfChange
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0016_the_language_of_mails")]
    operations = [
        migrations.AddField(
            "subscription",
            "erased_at",
            models.DateTimeField(
                help_text="when its person was erased; null unless so", null=True
            ),
        ),
        migrations.AlterField(
            "drift",
            "kind",
            models.CharField(
                choices=[
                    ("paid_without_code", "paid, but no code has arrived"),
                    ("code_lost", "the student side has lost the code"),
                    ("code_without_payment", "a code, but no known payment"),
                    ("code_differs", "the student side has another code"),
                    ("cancelled_but_valid", "cancelled, but the code still works"),
                    ("cancellation_lost", "a revoked code, but no known cancellation"),
                    ("revocation_lost", "revoked by an operator, but the code works again"),
                    ("replacement_lost", "the student side has lost a replacement"),
                    ("terms_lost", "the student side has earlier terms"),
                    ("terms_differ", "the student side has later terms"),
                    ("erased_here", "erased here, but not on the student side"),
                    ("erased_there", "erased on the student side, but not here"),
                ],
                max_length=24,
            ),
        ),
        KeepTimeOfChange("subscription", "updated_at"),  # SQLite may have made the table again
    ]
