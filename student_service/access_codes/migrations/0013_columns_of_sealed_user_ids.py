"""Where user ids are kept sealed, with keyed hashes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access_codes", "0012_erased_persons")]
    operations = [
        migrations.AddField(
            "accesscode",
            "sealed_user_id",
            models.BinaryField(help_text="whom it was issued for, sealed", null=True),
        ),
        migrations.AddField(
            "accesscode",
            "user_hash",
            models.BinaryField(help_text="keyed hash of the user", max_length=32, null=True),
        ),
        migrations.AddField(
            "accesscode",
            "user_hash_next",
            models.BinaryField(
                help_text="the same with CODE_LOOKUP_KEY_NEXT", max_length=32, null=True
            ),
        ),
    ]
