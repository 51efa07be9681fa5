"""Grants wait for their turn, each run has its window, and each hour its share."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('access_codes', '0002_an_index_for_each_question'),
    ]

    operations = [
        migrations.CreateModel(
            name='HourOfGrants',
            fields=[
                ('hour', models.DateTimeField(primary_key=True, serialize=False)),
                ('reported', models.PositiveIntegerField(db_default=0, default=0)),
            ],
        ),
        migrations.CreateModel(
            name='AnsweredRun',
            fields=[
                ('run_id', models.UUIDField(primary_key=True, serialize=False)),
                ('since', models.DateTimeField(help_text='start of the window')),
                ('until', models.DateTimeField(help_text='end of the window, exclusive')),
                ('answered_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), help_text='its first request')),
                ('decision', models.CharField(blank=True, choices=[('lifted', 'its grants do not count towards the cap'), ('refused', 'it gets no more grants'), ('forgotten', 'it is too old to get any')], db_default='', default='', max_length=16)),
                ('waits_since', models.DateTimeField(help_text='when the cap first stopped it', null=True)),
                ('delayed_until', models.DateTimeField(help_text='the end of the hour of which the payment side knows that it waits', null=True)),
            ],
            options={
                'indexes': [models.Index(fields=['answered_at'], name='answered_run_age'), models.Index(condition=models.Q(('decision', ''), _negated=True), fields=['decision'], name='answered_run_decided')],
            },
        ),
        migrations.CreateModel(
            name='WaitingGrant',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('subscription_id', models.UUIDField()),
                ('requested_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('causation_id', models.CharField(max_length=255)),
                ('correlation_id', models.CharField(max_length=255)),
                ('traceparent', models.CharField(blank=True, default='', max_length=64)),
                ('run', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='waiting', to='access_codes.answeredrun')),
            ],
            options={
                'indexes': [models.Index(fields=['run', 'id'], name='waiting_grant_turn'), models.Index(fields=['subscription_id'], name='waiting_grant_subscription')],
                'constraints': [models.UniqueConstraint(fields=('run', 'subscription_id'), name='waiting_grant_once')],
            },
        ),
    ]
