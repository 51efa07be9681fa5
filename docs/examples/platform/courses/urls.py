import secrets

from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect
from django.urls import path
from django.utils.html import format_html

from . import service
from .admitted import admitted

FORM = """<p>{}</p><form method="post">
<input type="hidden" name="csrfmiddlewaretoken" value="{}">
<input name="code" maxlength="64" autocomplete="off"><button>Enter</button></form>"""

MESSAGES = {
    "malformed": "That is not a code: please look for a typing error.",
    "expired": "Your access has ended.",
    "used_up": "This code was used already.",
    "suspended": "Your access is suspended.",
    "not_yet_valid": "Your access has not begun yet.",
}


@admitted
def lesson(_):
    return HttpResponse("Lesson 1")


def enter(request):
    # The same in each attempt of a session, so that a form that is sent twice is one use.
    reference = request.session.setdefault("entry", secrets.token_hex(16))
    if request.method != "POST":
        return form(request, "Your access code, please.")
    answer = service.redeem(request.POST["code"], reference)
    if answer is None:
        return form(request, "We cannot check codes now. Please try again in a minute.", 503)
    if not answer["valid"]:
        return form(request, MESSAGES.get(answer["reason"], "This code does not let you in."))
    request.session["access_id"] = answer["access_id"]  # not the code
    return redirect("lesson")


def form(request, message, status=200):
    return HttpResponse(format_html(FORM, message, get_token(request)), status=status)


urlpatterns = [path("", lesson, name="lesson"), path("enter", enter, name="enter")]
