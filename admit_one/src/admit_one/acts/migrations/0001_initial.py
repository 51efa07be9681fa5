import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Act',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('area', models.CharField(help_text='part of the system, such as set_aside', max_length=32)),
                ('action', models.CharField(help_text='what was done, such as replay', max_length=32)),
                ('target', models.CharField(blank=True, help_text='the target\'s id', max_length=64)),
                ('group', models.CharField(blank=True, help_text='the target\'s group, if any', max_length=255)),
                ('subject', models.CharField(blank=True, help_text='what the target is about', max_length=255)),
                ('facts', models.JSONField(blank=True, default=dict, help_text='what the target was')),
                ('by', models.CharField(max_length=255)),
                ('reason', models.TextField(blank=True)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('result', models.CharField(blank=True, help_text='empty if the process ended before there was one', max_length=16)),
                ('detail', models.TextField(blank=True, help_text='the error, if there was one')),
            ],
            options={
                'db_table': 'acts_act',
                'default_permissions': ('view',),
                'indexes': [models.Index(fields=['area', 'target'], name='acts_act_target'), models.Index(condition=models.Q(('group', ''), _negated=True), fields=['group', 'action', 'at'], name='acts_act_group')],
            },
        ),
    ]
