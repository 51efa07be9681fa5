"""The student service answers nobody but those who ask whether it lives."""

from admit_one.web import health
from django.urls import path

urlpatterns = [
    path("health/live", health.live),
    path("health/ready", health.ready),
]
