"""What people type into the pages of workspaces and datasets."""

from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.validators import UnicodeUsernameValidator

from curation.models import Dataset, Role, User, Workspace

MOST_OVERLAP = 9


class DatasetForm(forms.ModelForm):
    """A dataset's settings."""

    overlap = forms.IntegerField(
        min_value=1, max_value=MOST_OVERLAP, label="People per pair", help_text="Human labels wanted for each reviewed pair."
    )

    class Meta:
        model = Dataset
        fields = ("name", "description", "source", "licence", "overlap")
        widgets = {"description": forms.Textarea(attrs={"rows": 3}), "source": forms.Textarea(attrs={"rows": 2})}
        help_texts = {"licence": "An SPDX identifier such as CC-BY-4.0 where there is one.", "source": "Where the data is from."}


class NewDatasetForm(forms.ModelForm):
    """A dataset without pairs. Raises a field error when the workspace has the slug already."""

    class Meta:
        model = Dataset
        fields = ("name", "slug")
        labels = {"slug": "Short name"}
        help_texts = {"slug": "Part of addresses and commands: letters, digits, - and _."}

    def __init__(self, *args: Any, workspace: Workspace, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.workspace = workspace

    def clean_slug(self) -> str:
        slug = self.cleaned_data["slug"]
        if Dataset.objects.filter(workspace=self.workspace, slug=slug).exists():
            raise forms.ValidationError("This workspace already has a dataset with this short name.")
        return slug


class MemberForm(forms.Form):
    """Someone to let in. `known` is the account of that name; it keeps its password whatever is typed here."""

    username = forms.CharField(max_length=150, validators=[UnicodeUsernameValidator()], label="User name")
    role = forms.ChoiceField(choices=Role.choices, initial=Role.ANNOTATOR)
    password = forms.CharField(
        required=False,
        max_length=128,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        label="First password",
        help_text="At least 10 characters; not needed for someone who already has an account here.",
    )
    known: User | None = None

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        self.known = User.objects.filter(username=data.get("username", "")).first()
        if self.known is None and "username" in data:
            self._check_password(data.get("password", ""), data["username"])
        return data

    def _check_password(self, password: str, username: str) -> None:
        if not password:
            self.add_error("password", "A new account needs a first password.")
            return
        try:
            validate_password(password, User(username=username))
        except forms.ValidationError as error:
            self.add_error("password", error)
