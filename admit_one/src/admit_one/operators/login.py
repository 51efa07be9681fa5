"""The login form of the pages for operators."""

from __future__ import annotations

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import UsernameField

LONGEST_NAME = 254
"""Characters. In a project where an e-mail address is the user's name, it may be as long."""


class LoginForm(AdminAuthenticationForm):
    """Refuses a name that the record of failed logins could not store."""

    username = UsernameField(
        max_length=LONGEST_NAME, widget=forms.TextInput(attrs={"autofocus": True})
    )
