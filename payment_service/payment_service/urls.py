"""Every address of the payment service."""

from django.urls import include, path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView
from shared_contracts.api import health

urlpatterns = [
    path("v1/", include("subscriptions.urls")),
    path("v1/schema", SpectacularJSONAPIView.as_view(), name="schema"),
    path("v1/docs", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("health/live", health.live),
    path("health/ready", health.ready),
]

handler400 = "shared_contracts.api.problems.bad_request"
handler403 = "shared_contracts.api.problems.permission_denied"
handler404 = "shared_contracts.api.problems.not_found"
handler500 = "shared_contracts.api.problems.server_error"
