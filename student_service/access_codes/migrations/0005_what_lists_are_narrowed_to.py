"""Codes are listed by user, plan, address and terms without a look at all of them."""

from admit_one.database.changes import AddIndex
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("access_codes", "0004_terms_generations_and_redemptions")]
    operations = [
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
                    (
                        "withdrawn",
                        "will not be sent: its code is revoked, or its address was wrong",
                    ),
                ],
                db_default="pending",
                default="pending",
                max_length=16,
            ),
        ),
        AddIndex(
            "accesscode",
            models.Index(fields=["user_id", "subscription_id"], name="access_code_user"),
        ),
        AddIndex(
            "accesscode",
            models.Index(fields=["plan", "subscription_id"], name="access_code_plan"),
        ),
        AddIndex(
            "mailintent",
            models.Index(fields=["recipient_hash", "access_code"], name="mail_intent_to"),
        ),
        *(
            AddIndex(
                "terms",
                models.Index(
                    fields=["access_code"],
                    name=f"terms_{name}",
                    condition=models.Q((f"{name}__isnull", False)),
                ),
            )
            for name in ("valid_from", "valid_until", "uses")
        ),
    ]
