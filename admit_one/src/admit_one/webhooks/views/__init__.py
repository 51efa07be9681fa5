"""The part of the HTTP API that is about webhooks.

endpoints    made, listed, shown, changed, deleted
acts         a secret rotated, an endpoint enabled or tried
deliveries   listed, and sent again
"""

from __future__ import annotations

from django.urls import URLPattern, path

from . import acts, deliveries, endpoints


def addresses() -> list[URLPattern]:
    """What a service with webhooks adds to its addresses."""
    # `str`, not `uuid`: the views check the key first, so a malformed id is a 401 or a 404.
    endpoint = "v1/webhook-endpoints/<str:endpoint_id>"
    return [
        path("v1/webhook-endpoints", endpoints.Endpoints.as_view(), name="webhook_endpoints"),
        path(endpoint, endpoints.EndpointDetail.as_view(), name="webhook_endpoint"),
        path(f"{endpoint}/rotate-secret", acts.Rotation.as_view(), name="webhook_rotation"),
        path(f"{endpoint}/enable", acts.Enabling.as_view(), name="webhook_enabling"),
        path(f"{endpoint}/test", acts.Testing.as_view(), name="webhook_test"),
        path(f"{endpoint}/deliveries", deliveries.Deliveries.as_view(), name="webhook_deliveries"),
        path(
            f"{endpoint}/deliveries/<str:webhook_id>/resend",
            deliveries.Resend.as_view(),
            name="resend_webhook",
        ),
    ]
