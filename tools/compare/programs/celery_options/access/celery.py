from celery import Celery
from celery.signals import worker_init
from queues import DEAD

app = Celery("access")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def declare_dead_letters(**_):
    with app.connection_for_write() as connection:
        DEAD(connection).declare()
