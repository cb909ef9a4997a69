"""What the judging pages post."""

from typing import Any

from django import forms

from annotate.answers import REASONS, VERDICTS, Answer, answer_from

RATIONALE_CHARS = 5000
GUIDELINE_CHARS = 50_000


class AnswerForm(forms.Form):
    verdict = forms.ChoiceField(
        choices=[(verdict.value, verdict.label) for verdict in VERDICTS.values()],
        error_messages={
            "required": "Choose an answer first: 1 to 7, x or c.",
            "invalid_choice": "That is not one of the answers.",
        },
    )
    reason = forms.ChoiceField(choices=[("", ""), *REASONS], required=False)
    rationale = forms.CharField(max_length=RATIONALE_CHARS, required=False)
    seconds = forms.FloatField(min_value=0, required=False)
    client_id = forms.UUIDField(required=False)

    def answer(self, *, guideline: str = "", at_most_seconds: float | None = None) -> Answer:
        """The answer in a valid form. Looking took at_most_seconds at most, whatever the browser's clock says."""
        data = self.cleaned_data
        seconds = data["seconds"]
        if seconds is not None and at_most_seconds is not None:
            seconds = min(seconds, at_most_seconds)
        reason = data["reason"] if data["verdict"] == "cannot_judge" else ""
        return answer_from(
            data["verdict"], rationale=data["rationale"].strip(), reason=reason, seconds=seconds, guideline=guideline
        )

    def as_typed(self) -> dict[str, Any]:
        """What a refused form held and what is wrong with it, for showing it again."""
        draft = {name: self.data.get(name, "") for name in ("verdict", "reason", "rationale")}
        return {"draft": draft, "errors": [message for found in self.errors.values() for message in found]}


class DraftForm(forms.Form):
    """A half-finished answer: anything may be missing."""

    verdict = forms.ChoiceField(choices=[("", ""), *[(value, value) for value in VERDICTS]], required=False)
    reason = forms.ChoiceField(choices=[("", ""), *REASONS], required=False)
    rationale = forms.CharField(max_length=RATIONALE_CHARS, required=False, strip=False)
    at = forms.IntegerField(min_value=0, required=False)  # the browser's clock, to tell a newer copy from an older one

    def draft(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}


class SkipForm(forms.Form):
    skip_reason = forms.CharField(max_length=200, required=False)


class GuidelineForm(forms.Form):
    text = forms.CharField(
        max_length=GUIDELINE_CHARS,
        widget=forms.Textarea(attrs={"rows": 24}),
        error_messages={"required": "A guideline cannot be empty."},
    )
