"""A code can be erased; its row stays."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('access_codes', '0011_indexes_of_what_became_of_mails'),
    ]

    operations = [
        migrations.AlterField(
            model_name='accesscode',
            name='lookup_hash',
            field=models.BinaryField(help_text='keyed hash of the code', max_length=32, null=True, unique=True),
        ),
        migrations.AlterField(
            model_name='accesscode',
            name='sealed_code',
            field=models.BinaryField(help_text='the code, sealed; null if it is erased', null=True),
        ),
    ]
