"""What is to be pruned is counted by primary key: each event costs three index entries less."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("messaging", "0004_signatures_and_sealed_values")]
    operations = [
        migrations.RemoveIndex("inboxmessage", "messaging_inbox_received"),
        migrations.RemoveIndex("outboxmessage", "messaging_outbox_published"),
        migrations.RemoveIndex("setaside", "messaging_set_aside_closed"),
    ]
