from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='KeyCanary',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('setting', models.CharField(max_length=64)),
                ('key_id', models.CharField(help_text="which of the setting's keys", max_length=16)),
                ('value', models.BinaryField(max_length=32)),
            ],
            options={
                'db_table': 'sealing_key_canary',
                'constraints': [models.UniqueConstraint(fields=('setting', 'key_id'), name='sealing_key_canary_one')],
            },
        ),
    ]
