"""The forms of projects. What is typed is kept; each error stands under its field."""

from collections.abc import Sequence
from typing import Any

from django import forms

from accounts.authz import ACCESS
from accounts.forms import AenForm
from accounts.names import RULE

from .actions import DESCRIPTION_LIMIT, SUMMARY_LIMIT
from .models import Project

VISIBILITY = [("private", "Private"), ("public", "Public")]
_AS_TYPED = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}


class NewProjectForm(AenForm):
    name = forms.CharField(
        max_length=200,  # the action says what is wrong with a name, better than a length would
        help_text=f"{RULE}.",
        error_messages={"required": "Give the project a name."},
        widget=forms.TextInput(
            attrs={
                "autocomplete": "off",
                "autocapitalize": "none",
                "spellcheck": "false",
                "autofocus": True,
                "data-preview": "#preview-name",
            }
        ),
    )
    visibility = forms.ChoiceField(choices=VISIBILITY, initial="private", widget=forms.RadioSelect)
    summary = forms.CharField(
        required=False,
        max_length=SUMMARY_LIMIT,
        help_text="One line that says what the project is for.",
    )
    data_center = forms.ChoiceField(required=False, choices=())

    def __init__(self, *args: Any, data_centers: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["data_center"].choices = [(name, name) for name in data_centers]
        self.fields["data_center"].help_text = "Where its files live and its apps run."
        if len(data_centers) < 2:
            del self.fields["data_center"]


class GeneralForm(AenForm):
    summary = forms.CharField(required=False, max_length=SUMMARY_LIMIT)
    description = forms.CharField(
        required=False,
        max_length=DESCRIPTION_LIMIT,
        help_text="Markdown: # headings, **bold**, lists, `code`, links, tables. HTML is shown as text.",
        widget=forms.Textarea(attrs={"rows": 16, "class": "form-control aen-mono"}),
    )

    @classmethod
    def of(cls, project: Project) -> "GeneralForm":
        return cls(initial={"summary": project.summary, "description": project.description})


class VisibilityForm(AenForm):
    visibility = forms.ChoiceField(
        choices=VISIBILITY,
        widget=forms.RadioSelect,
        error_messages={"required": "Choose who may see the project."},
    )


class MemberForm(AenForm):
    user = forms.CharField(
        label="Add a person",
        max_length=150,
        error_messages={"required": "Type the user name of the person to add."},
        widget=forms.TextInput(attrs=_AS_TYPED | {"placeholder": "Name or user name"}),
    )
    role = forms.ChoiceField(
        choices=[(role, role.capitalize()) for role in reversed(list(ACCESS))], initial="editor"
    )


class CheckForm(AenForm):
    """Whose access to what: ``user`` empty is oneself, ``path`` empty the project's folder."""

    user = forms.CharField(label="Person", required=False, max_length=150)
    path = forms.CharField(label="File or folder", required=False, max_length=5000)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, auto_id="id_check_%s", **kwargs)
        self.fields["path"].widget.attrs |= _AS_TYPED | {"placeholder": "the project’s folder"}


class OverrideForm(AenForm):
    """Rights set by hand. No tick at all is a setting, too: no access."""

    path = forms.CharField(
        label="File or folder",
        max_length=5000,
        strip=False,
        error_messages={"required": "Name a file or folder in the project, for example data/raw."},
        widget=forms.TextInput(attrs=_AS_TYPED | {"placeholder": "data/raw"}),
    )
    user = forms.CharField(
        label="Person",
        max_length=150,
        error_messages={"required": "Type the user name of a person."},
    )
    access = forms.CharField(required=False, max_length=10)
    read = forms.BooleanField(required=False, initial=True)
    write = forms.BooleanField(required=False)
    run = forms.BooleanField(label="Run, enter", required=False, initial=True)

    def clean(self) -> dict[str, Any]:
        """Take a blank beside the path as a slip, unless a button of ours sent it."""
        given = super().clean() or self.cleaned_data
        if not given.get("access") and "path" in given:
            given["path"] = given["path"].strip()
        return given

    @property
    def rights(self) -> str:
        """What was ticked, as ``ls`` writes it."""
        given = self.cleaned_data
        ticks = [("read", "r"), ("write", "w"), ("run", "x")]
        ticked = "".join(letter if given[name] else "-" for name, letter in ticks)
        return given["access"] or ticked


class PackagesField(forms.CharField):
    """Packages with blanks between them, as a list."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=20_000, widget=forms.TextInput(attrs=_AS_TYPED), **kwargs)

    def clean(self, value: str) -> list[str]:
        return super().clean(value).split()


class NewEnvironmentForm(AenForm):
    """``makers``: how the node makes environments, the usual way first."""

    name = forms.CharField(
        max_length=200,
        error_messages={"required": "Give the environment a name."},
        widget=forms.TextInput(attrs=_AS_TYPED),
    )
    packages = PackagesField(
        required=False,
        help_text="Names with blanks between: pandas scikit-learn==1.5. What notebooks need is added.",
    )
    python = forms.CharField(
        label="Python",
        required=False,
        max_length=20,
        widget=forms.TextInput(attrs=_AS_TYPED | {"placeholder": "the node’s own"}),
    )
    maker = forms.ChoiceField(label="Made of", required=False, choices=())
    file = forms.CharField(
        label="Or what an export wrote",
        required=False,
        max_length=200_000,
        widget=forms.Textarea(attrs=_AS_TYPED | {"rows": 4, "class": "form-control aen-mono"}),
    )

    def __init__(self, *args: Any, makers: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        words = {"conda": "conda packages", "uv": "packages of PyPI"}
        self.fields["maker"].choices = [(maker, words[maker]) for maker in makers]
        if len(makers) < 2:
            del self.fields["maker"]


class CopyForm(AenForm):
    name = forms.CharField(
        label="Copy to",
        max_length=200,
        error_messages={"required": "Give the copy a name."},
        widget=forms.TextInput(attrs=_AS_TYPED | {"placeholder": "New name"}),
    )


class InstallForm(AenForm):
    packages = PackagesField(
        label="Install packages",
        error_messages={"required": "Name a package, for example pandas."},
        help_text="Names with blanks between: pandas matplotlib==3.9. Those that are there are updated.",
    )
    pip = forms.BooleanField(label="From PyPI", required=False)


class DeleteForm(AenForm):
    """The name typed again is the proof that the right project is meant."""

    confirm = forms.CharField(max_length=200, required=False)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        self.fields["confirm"].label = f"Type {project.name} to confirm"
        self.fields["confirm"].required = True
        self.fields["confirm"].error_messages["required"] = f"Type {project.name} to delete it."
        self.fields["confirm"].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}

    def clean_confirm(self) -> str:
        if self.cleaned_data["confirm"].strip() != self.project.name:
            raise forms.ValidationError(
                f"This is not the project’s name. Type {self.project.name}."
            )
        return self.project.name
