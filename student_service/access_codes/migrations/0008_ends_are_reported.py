"""Terms say whether clients have heard that their code has expired."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access_codes", "0007_indexes_of_reminders_and_tests")]
    operations = [
        migrations.AddField(
            "terms",
            "end_reported",
            models.BooleanField(
                default=False,
                db_default=False,
                help_text="whether it was reported that it has expired",
            ),
        ),
    ]
