import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='InboxMessage',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('source', models.CharField(max_length=255)),
                ('event_id', models.CharField(max_length=255)),
                ('type', models.CharField(max_length=255)),
                ('subject', models.CharField(max_length=255)),
                ('fingerprint', models.BinaryField(help_text='keyed hash of the wire bytes')),
                ('received_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'db_table': 'messaging_inbox',
                'constraints': [models.UniqueConstraint(fields=('event_id', 'source'), name='messaging_inbox_once')],
            },
        ),
        migrations.CreateModel(
            name='OutboxMessage',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('event_id', models.CharField(max_length=255)),
                ('type', models.CharField(max_length=255)),
                ('subject', models.CharField(max_length=255)),
                ('body', models.BinaryField(help_text='the wire bytes, sealed')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('next_attempt_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('attempts', models.PositiveIntegerField(db_default=0, default=0)),
                ('last_error', models.CharField(blank=True, db_default='', default='', max_length=500)),
                ('published_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'db_table': 'messaging_outbox',
                'indexes': [models.Index(condition=models.Q(('published_at__isnull', True)), fields=['next_attempt_at', 'id'], name='messaging_outbox_unsent'), models.Index(fields=['subject'], name='messaging_outbox_subject')],
            },
        ),
        migrations.CreateModel(
            name='SetAside',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('state', models.CharField(choices=[('retrying', 'will be retried automatically'), ('dead', 'waits for an operator'), ('replayed', 'was handled in the end'), ('discarded', 'was given up by an operator')], max_length=16)),
                ('delivery', models.CharField(max_length=80, unique=True)),
                ('queue', models.CharField(max_length=255)),
                ('source', models.CharField(blank=True, max_length=255)),
                ('event_id', models.CharField(blank=True, max_length=255)),
                ('type', models.CharField(blank=True, max_length=255)),
                ('subject', models.CharField(blank=True, max_length=255)),
                ('body', models.BinaryField(help_text='the wire bytes, sealed')),
                ('headers', models.JSONField(default=dict)),
                ('suspect', models.BooleanField(default=False, help_text='it may have killed its consumer')),
                ('error', models.CharField(max_length=255)),
                ('reason', models.TextField()),
                ('traceback', models.TextField(blank=True)),
                ('fingerprint', models.CharField(db_index=True, max_length=255)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('unanswered', models.PositiveIntegerField(db_default=0, default=0, help_text='attempts since the last one that had a result')),
                ('replays', models.PositiveIntegerField(db_default=0, default=0, help_text='attempts ordered by operators')),
                ('history', models.JSONField(default=list, help_text='each attempt: when, and its result')),
                ('next_attempt_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'verbose_name': 'set-aside message',
                'db_table': 'messaging_set_aside',
                'permissions': [('work_on_setaside', 'Can replay, discard and restore set-aside messages')],
                'default_permissions': ('view',),
                'indexes': [models.Index(condition=models.Q(('state', 'retrying')), fields=['next_attempt_at', 'id'], name='messaging_set_aside_due'), models.Index(condition=models.Q(('state__in', ['retrying', 'dead'])), fields=['state', 'fingerprint'], name='messaging_set_aside_open')],
            },
        ),
    ]
