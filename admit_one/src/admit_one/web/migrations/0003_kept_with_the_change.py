"""An answer may be kept by the statement that makes what it shows."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("web", "0002_scopes_and_limits")]
    operations = [
        migrations.AddField(
            "idempotencykey",
            "updated_at",
            models.DateTimeField(
                help_text="in place of the body's, which was kept before the database wrote it",
                null=True,
            ),
        ),
    ]
