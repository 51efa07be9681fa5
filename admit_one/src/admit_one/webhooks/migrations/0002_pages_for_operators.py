"""What the pages for operators call endpoints and deliveries, and who may see them."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('webhooks', '0001_endpoints_and_deliveries'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='delivery',
            options={'default_permissions': (), 'verbose_name': 'webhook delivery', 'verbose_name_plural': 'webhook deliveries'},
        ),
        migrations.AlterModelOptions(
            name='endpoint',
            options={'default_permissions': ('view',), 'permissions': [('work_on_endpoint', 'Can enable and disable webhook endpoints, and resend webhooks')], 'verbose_name': 'webhook endpoint'},
        ),
    ]
