"""Open events are found by the users and addresses that they name.

The task `prune_provider_events` notes them for events of before.
"""

import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("providers", "0002_latest_invoices_decide_what_is_due")]
    operations = [
        migrations.AddField(
            "providerevent",
            "persons_noted",
            models.BooleanField(
                default=False,
                db_default=False,
                help_text="whether it is found by whom it names, while it is open",
            ),
        ),
        migrations.CreateModel(
            "ProviderPerson",
            [
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("user_id", "user id"), ("email", "address")], max_length=16
                    ),
                ),
                ("name", models.BinaryField(help_text="sealed; an address in lower case")),
                (
                    "name_hash",
                    models.BinaryField(help_text="keyed hash of the name", max_length=33),
                ),
                (
                    "event",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="persons",
                        to="providers.providerevent",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["name_hash"], name="provider_person_name")],
            },
        ),
    ]
