import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('sealing', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='KeyHolder',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('process', models.CharField(help_text='what it is, and where it runs', max_length=255)),
                ('keys', models.JSONField(help_text='the canary of each of its keys, by name')),
                ('seals_with', models.CharField(help_text='the id of the key that it seals with', max_length=16)),
                ('seen_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'db_table': 'sealing_key_holder',
            },
        ),
    ]
