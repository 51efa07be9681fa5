"""The Celery app that a service makes."""
