"""Orders, and what clients note with subscriptions. Rows of before have neither."""

import django.db.models.deletion
import django.utils.timezone
import uuid_utils.compat
from django.db import migrations, models

REFERENCE = "the client's own name of it; null if it has none"
METADATA = "the client's own notes; null without any"


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0008_an_index_for_each_filter")]
    operations = [
        migrations.CreateModel(
            "Order",
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
                    "client",
                    models.CharField(help_text="the API client that owns it", max_length=64),
                ),
                (
                    "test",
                    models.BooleanField(
                        default=False, help_text="recorded with a test key of its client"
                    ),
                ),
                ("reference", models.CharField(help_text=REFERENCE, max_length=128, null=True)),
                ("metadata", models.JSONField(help_text=METADATA, null=True)),
                ("seats", models.PositiveIntegerField(help_text="how many subscriptions it has")),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "completed_at",
                    models.DateTimeField(
                        help_text="when its last seat was no longer pending, for the first time",
                        null=True,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["client", "-created_at", "-id"], name="order_newest"),
                    models.Index(
                        fields=["client", "reference", "-created_at", "-id"],
                        name="order_of_reference",
                        condition=models.Q(reference__isnull=False),
                    ),
                ],
            },
        ),
        migrations.AddField(
            "subscription",
            "order",
            models.ForeignKey(
                "subscriptions.order",
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="subscriptions",
            ),
        ),
        migrations.AddField(
            "subscription",
            "reference",
            models.CharField(help_text=REFERENCE, max_length=128, null=True),
        ),
        migrations.AddField(
            "subscription", "metadata", models.JSONField(help_text=METADATA, null=True)
        ),
        migrations.CreateModel(
            "MetadataEntry",
            [
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("client", models.CharField(max_length=64)),
                ("key", models.CharField(max_length=40)),
                ("value", models.CharField(max_length=500)),
                ("created_at", models.DateTimeField(help_text="of the subscription")),
                (
                    "subscription",
                    models.ForeignKey(
                        "subscriptions.subscription",
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        fields=["client", "key", "value", "-created_at", "-subscription"],
                        name="metadata_entry_listed",
                    ),
                ],
            },
        ),
    ]
