"""The forms of accounts. What is typed is kept; each error stands under its field."""

from typing import Any

from django import forms
from django.contrib.auth import authenticate

from . import throttle
from .errors import ActionError
from .models import User


class AenForm(forms.Form):
    """A form drawn by our templates: Bootstrap's classes, errors named for screen readers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            self._dress(field)

    def _dress(self, field: forms.Field) -> None:
        kind = "form-select" if isinstance(field.widget, forms.Select) else "form-control"
        if isinstance(field.widget, forms.RadioSelect | forms.CheckboxInput):
            return
        field.widget.attrs.setdefault("class", kind)

    def full_clean(self) -> None:
        super().full_clean()
        for name in self._errors or ():
            if name in self.fields:
                self._mark(name)

    def _mark(self, name: str) -> None:
        attrs = self.fields[name].widget.attrs
        if "is-invalid" not in attrs.get("class", ""):
            attrs["class"] = f"{attrs.get('class', '')} is-invalid".strip()
        attrs["aria-invalid"] = "true"

    def refuse(self, refusal: ActionError) -> None:
        """Show why an action refused, under the field that it names."""
        field = refusal.field if refusal.field in self.fields else None
        self.add_error(field, refusal.detail)
        if field:
            self._mark(field)


class SignInForm(AenForm):
    username = forms.CharField(
        label="User name",
        max_length=150,
        error_messages={"required": "Type your user name."},
        widget=forms.TextInput(
            attrs={
                "autocomplete": "username",
                "autocapitalize": "none",
                "spellcheck": "false",
                "autofocus": True,
            }
        ),
    )
    password = forms.CharField(
        strip=False,
        max_length=4096,
        error_messages={"required": "Type your password."},
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *args: Any, request: Any = None, **kwargs: Any) -> None:
        self.request = request
        self.user: User | None = None
        #: Seconds until this client may try again.
        self.wait = 0
        super().__init__(*args, **kwargs)

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if given.get("username") and given.get("password"):
            self.wait = throttle.attempt(self.request, given["username"])
            if self.wait:
                raise forms.ValidationError(_slow_down(self.wait))
            with throttle.one_of_few():
                self.user = authenticate(self.request, **given)
            if self.user is None:
                raise forms.ValidationError(
                    "The user name or the password is not right, or the account is locked. "
                    "An administrator can send you a link for a new password."
                )
            throttle.succeeded(self.request, given["username"])
        return given


def _slow_down(seconds: int) -> str:
    return f"There were too many attempts from here. Wait {seconds} s, then try again."


class PasswordForm(AenForm):
    password = forms.CharField(
        label="New password",
        strip=False,
        max_length=4096,
        help_text="10 characters or more. A few unrelated words are easy to remember.",
        error_messages={"required": "Type a password."},
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    again = forms.CharField(
        label="The same again",
        strip=False,
        max_length=4096,
        error_messages={"required": "Type the password a second time."},
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean_again(self) -> str:
        again = self.cleaned_data["again"]
        if "password" in self.cleaned_data and again != self.cleaned_data["password"]:
            raise forms.ValidationError("The two passwords differ. Type them again.")
        return again


class ChangePasswordForm(PasswordForm):
    current = forms.CharField(
        label="Current password",
        strip=False,
        max_length=4096,
        error_messages={"required": "Type the password you have now."},
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    field_order = ["current", "password", "again"]

    def __init__(self, *args: Any, user: User, request: Any = None, **kwargs: Any) -> None:
        self.user, self.request = user, request
        super().__init__(*args, **kwargs)

    def clean_current(self) -> str:
        # Whoever found an open browser must not find out the password, too.
        if seconds := throttle.attempt(self.request, self.user.username):
            raise forms.ValidationError(_slow_down(seconds))
        with throttle.one_of_few():
            right = self.user.check_password(self.cleaned_data["current"])
        if not right:
            raise forms.ValidationError("This is not your current password.")
        throttle.succeeded(self.request, self.user.username)
        return self.cleaned_data["current"]


class NameForm(AenForm):
    full_name = forms.CharField(
        label="Name",
        max_length=150,
        required=False,
        help_text="Shown beside your user name, for example to people who add you to a team.",
    )


class TokenForm(AenForm):
    name = forms.CharField(
        max_length=80,
        error_messages={"required": "Give the token a name, for example where it is used."},
        widget=forms.TextInput(attrs={"placeholder": "nightly export"}),
    )
    scopes = forms.MultipleChoiceField(
        label="What it may open",
        choices=[("api", "The REST API"), ("apps", "Apps on the gateway")],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one thing that the token opens."},
    )


class PersonForm(AenForm):
    username = forms.CharField(
        label="User name",
        max_length=150,
        help_text="2 to 32 small letters, digits and hyphens, beginning with a letter.",
        error_messages={"required": "Type a user name."},
        widget=forms.TextInput(
            attrs={"autocapitalize": "none", "spellcheck": "false", "autocomplete": "off"}
        ),
    )
    full_name = forms.CharField(
        label="Name",
        max_length=150,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
