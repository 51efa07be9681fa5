"""Subjects that are erased for good."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0005_fewer_indexes'),
    ]

    operations = [
        migrations.AlterField(
            model_name='setaside',
            name='state',
            field=models.CharField(choices=[('retrying', 'will be retried automatically'), ('dead', 'waits for an operator'), ('replayed', 'was handled in the end'), ('discarded', 'was given up by an operator'), ('erased', 'was blanked, because its subject was erased')], max_length=16),
        ),
        migrations.CreateModel(
            name='Tombstone',
            fields=[
                ('subject', models.CharField(max_length=255, primary_key=True, serialize=False)),
                ('erasure_id', models.UUIDField(help_text='the same on both sides')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('erased_at', models.DateTimeField(help_text='null until it is erased here', null=True)),
                ('last_request_id', models.CharField(db_default='', default='', help_text='event id of the last request', max_length=255)),
                ('requests', models.PositiveIntegerField(db_default=0, default=0, help_text='how often the other side was asked')),
                ('next_request_at', models.DateTimeField(help_text='when that is repeated; null unless it has to answer', null=True)),
                ('answered_at', models.DateTimeField(help_text='when the other side had erased it', null=True)),
            ],
            options={
                'db_table': 'messaging_tombstone',
                'indexes': [models.Index(fields=['erasure_id'], name='messaging_tombstone_erasure'), models.Index(fields=['created_at'], name='messaging_tombstone_created'), models.Index(condition=models.Q(('erased_at__isnull', True)), fields=['created_at'], name='messaging_tombstone_to_erase'), models.Index(condition=models.Q(('next_request_at__isnull', False)), fields=['next_request_at'], name='messaging_tombstone_to_ask')],
            },
        ),
    ]
