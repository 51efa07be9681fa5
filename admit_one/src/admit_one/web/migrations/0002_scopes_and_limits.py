"""Keys get scopes, an expiry and a last use, and the requests of all processes are counted.

A key from before gets what every key could do; a key without scopes may do nothing.
"""

from django.db import migrations, models

BEFORE_SCOPES = "subscriptions:read subscriptions:write codes:read"


def scopes(default):
    return models.CharField(
        max_length=255, db_default=default, help_text="what it may do, separated by spaces"
    )


class Migration(migrations.Migration):
    dependencies = [("web", "0001_initial")]
    operations = [
        migrations.AlterModelOptions(
            "apikey",
            {
                "default_permissions": ("view",),
                "permissions": [("work_on_apikey", "Can create and revoke API keys")],
                "verbose_name": "API key",
            },
        ),
        migrations.AddField("apikey", "scopes", scopes(BEFORE_SCOPES)),
        migrations.AlterField("apikey", "scopes", scopes("")),
        migrations.AddField(
            "apikey",
            "test",
            models.BooleanField(db_default=False, help_text="for tests of the client"),
        ),
        migrations.AddField("apikey", "expires_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField(
            "apikey",
            "last_used_at",
            models.DateTimeField(blank=True, help_text="to the minute", null=True),
        ),
        migrations.CreateModel(
            "RateCount",
            [
                (
                    "subject",
                    models.CharField(
                        primary_key=True,
                        max_length=80,
                        serialize=False,
                        help_text="a key's prefix, an address, or all",
                    ),
                ),
                (
                    "minute",
                    models.BigIntegerField(help_text="of the database's clock, since 1970"),
                ),
                ("count", models.BigIntegerField(help_text="in this minute")),
                ("previous", models.BigIntegerField(help_text="in the minute before")),
            ],
        ),
    ]
