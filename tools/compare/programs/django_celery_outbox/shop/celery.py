from django_celery_outbox import OutboxCelery

app = OutboxCelery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
