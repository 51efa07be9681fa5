"""A run knows until when the student side delays its grants."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('subscriptions', '0002_an_index_for_each_question'),
    ]

    operations = [
        migrations.AddField(
            model_name='reconciliationrun',
            name='grants_wait_until',
            field=models.DateTimeField(help_text='when the student side reports more grants, at the earliest', null=True),
        ),
    ]
