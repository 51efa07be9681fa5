"""Every address of the payment service."""

from admit_one.web import health
from django.urls import include, path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView

urlpatterns = [
    path("v1/", include("subscriptions.urls")),
    path("v1/schema", SpectacularJSONAPIView.as_view(), name="schema"),
    path("v1/docs", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("health/live", health.live),
    path("health/ready", health.ready),
]

handler400 = "admit_one.web.problems.bad_request"
handler403 = "admit_one.web.problems.permission_denied"
handler404 = "admit_one.web.problems.not_found"
handler500 = "admit_one.web.problems.server_error"
