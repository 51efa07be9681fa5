from django.apps import AppConfig


class Config(AppConfig):
    name = "access"

    def ready(self):
        from access.consumers import consumer, declare_dead_letters
        from django_rmq.registries.registry import get_consumers_registry
        from django_rmq.registries.setup_registry import get_setup_registry

        get_setup_registry().register(declare_dead_letters)
        get_consumers_registry().register(consumer=consumer)
