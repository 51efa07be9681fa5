from functools import wraps

from django.shortcuts import redirect

from . import service


def admitted(view):
    """Lets only those see `view` whom a code has let in, for as long as that holds."""

    @wraps(view)
    def checked(request, *args, **kwargs):
        access_id = request.session.get("access_id")
        if access_id and service.holds(access_id):
            return view(request, *args, **kwargs)
        return redirect("enter")

    return checked
