"""The student service answers nobody but those who ask whether it lives."""

from django.urls import path
from shared_contracts.api import health

urlpatterns = [
    path("health/live", health.live),
    path("health/ready", health.ready),
]
