from django.urls import path

from . import views

urlpatterns = [
    path("subscriptions", views.Subscriptions.as_view(), name="subscriptions"),
    # Any text: a malformed id is a thing that does not exist, and tells a stranger 401 like others.
    path(
        "subscriptions/<str:subscription_id>", views.OneSubscription.as_view(), name="subscription"
    ),
    path("subscriptions/<str:subscription_id>/cancel", views.Cancellation.as_view(), name="cancel"),
]
