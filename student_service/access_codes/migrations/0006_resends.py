"""The payment side may ask that a code be mailed again, to a corrected address."""

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
    ]
