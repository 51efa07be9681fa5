"""An endpoint that was disabled knows since when it is enabled again."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("webhooks", "0002_pages_for_operators"),
    ]

    operations = [
        migrations.AddField(
            model_name="endpoint",
            name="enabled_at",
            field=models.DateTimeField(help_text="when it was last enabled again; null unless it was disabled before", null=True),
        ),
    ]
