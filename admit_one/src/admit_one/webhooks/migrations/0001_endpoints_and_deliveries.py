"""Endpoints of clients, and what is sent to them."""

import admit_one.database.clock
import django.db.models.deletion
import django.db.models.functions.datetime
import uuid_utils.compat
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Endpoint',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('client', models.CharField(help_text='the API client that owns it', max_length=64)),
                ('test', models.BooleanField(db_default=False, default=False, help_text='made with a test key: hears of tests only')),
                ('url', models.CharField(max_length=2000)),
                ('events', models.JSONField(help_text='the types that it listens to')),
                ('secret', models.BinaryField(help_text='sealed')),
                ('previous_secret', models.BinaryField(help_text='sealed; null unless rotated', null=True)),
                ('previous_until', models.DateTimeField(help_text='until when the previous secret signs, too', null=True)),
                ('created_at', models.DateTimeField(db_default=admit_one.database.clock.WrittenNow())),
                ('failures', models.PositiveIntegerField(db_default=0, default=0, help_text='since it last answered with success')),
                ('failing_since', models.DateTimeField(help_text='null unless the last attempt failed', null=True)),
                ('resume_at', models.DateTimeField(help_text='nothing is sent before; null: at once', null=True)),
                ('disabled_at', models.DateTimeField(help_text='null unless nothing is sent to it', null=True)),
                ('disabled_reason', models.CharField(blank=True, db_default='', default='', max_length=200)),
                ('deleted_at', models.DateTimeField(help_text='by its client; the row goes after its deliveries', null=True)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('deleted_at__isnull', True)), fields=['client', 'created_at', 'id'], name='webhooks_endpoint_client')],
            },
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, help_text='the webhook-id', primary_key=True, serialize=False)),
                ('type', models.CharField(max_length=64)),
                ('subject', models.UUIDField(help_text='what it is about, for `manage.py why`', null=True)),
                ('body', models.TextField(help_text='the same bytes in each attempt')),
                ('state', models.CharField(choices=[('pending', 'waits to be sent, or to be sent again'), ('delivered', 'was answered with success'), ('failed', 'was given up after three days')], db_default='pending', default='pending', max_length=16)),
                ('attempts', models.PositiveIntegerField(db_default=0, default=0, help_text='the number of the last one names its claim')),
                ('tries', models.PositiveIntegerField(db_default=0, default=0, help_text='attempts since it was written, or sent again by hand')),
                ('created_at', models.DateTimeField(db_default=admit_one.database.clock.WrittenNow())),
                ('since', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), help_text='from when on it is tried for three days')),
                ('next_attempt_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), null=True)),
                ('finished_at', models.DateTimeField(help_text='null while it is pending', null=True)),
                ('last_status', models.PositiveSmallIntegerField(help_text='null without an answer', null=True)),
                ('last_error', models.CharField(blank=True, db_default='', default='', max_length=200)),
                ('endpoint', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='deliveries', to='webhooks.endpoint')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('state', 'pending')), fields=['endpoint', 'next_attempt_at', 'id'], name='webhooks_delivery_due'), models.Index(fields=['endpoint', 'created_at', 'id'], name='webhooks_delivery_listed'), models.Index(fields=['subject', 'created_at'], name='webhooks_delivery_subject'), models.Index(condition=models.Q(('state__in', ['pending', 'failed'])), fields=['endpoint', 'state', 'created_at', 'id'], name='webhooks_delivery_open')],
            },
        ),
    ]
