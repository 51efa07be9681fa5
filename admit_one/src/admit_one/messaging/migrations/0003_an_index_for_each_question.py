"""What operators ask of rows that are kept costs the same after a million rows as after none."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("messaging", "0002_vacuum_early")]
    operations = [
        migrations.AddIndex("inboxmessage", models.Index(fields=["subject"], name="messaging_inbox_subject")),
        migrations.AddIndex("inboxmessage", models.Index(fields=["received_at"], name="messaging_inbox_received")),
        migrations.AddIndex("outboxmessage", models.Index(fields=["event_id"], name="messaging_outbox_event")),
        migrations.AddIndex(
            "outboxmessage",
            models.Index(
                fields=["published_at"],
                name="messaging_outbox_published",
                condition=models.Q(("published_at__isnull", False)),
            ),
        ),
        migrations.AddIndex("setaside", models.Index(fields=["subject"], name="messaging_set_aside_subject")),
        migrations.AddIndex("setaside", models.Index(fields=["event_id"], name="messaging_set_aside_event")),
        migrations.AddIndex(
            "setaside",
            models.Index(
                fields=["closed_at"],
                name="messaging_set_aside_closed",
                condition=models.Q(("closed_at__isnull", False)),
            ),
        ),
        migrations.AddIndex("setaside", models.Index(fields=["state", "id"], name="messaging_set_aside_state")),
        migrations.AddIndex("setaside", models.Index(fields=["type", "id"], name="messaging_set_aside_type")),
        migrations.AddIndex(
            "setaside",
            models.Index(
                fields=["id"],
                name="messaging_set_aside_suspect",
                condition=models.Q(("suspect", True)),
            ),
        ),
    ]
