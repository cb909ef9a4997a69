"""What a curator chooses before a release is cut."""

from typing import Any

from django import forms

from curation.release_rows import RELEASABLE, TIE_POLICIES, CutSettings

POOL_WORDS = {
    "gold": "Gold: decided by people",
    "silver": "Silver: decided by models",
    "recycled": "Recycled: turned round and used again",
}


class ReleaseForm(forms.Form):
    """Settings of a release. Percentages here, shares in CutSettings."""

    pools = forms.MultipleChoiceField(
        choices=[(pool.value, POOL_WORDS[pool.value]) for pool in RELEASABLE], initial=["gold", "silver"],
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    tie_policy = forms.ChoiceField(
        choices=[(name, words[0].upper() + words[1:]) for name, words in TIE_POLICIES.items()], initial="drop", label="Ties"
    )
    min_margin = forms.FloatField(
        min_value=0,
        max_value=3,
        initial=0,
        label="Least strength",
        help_text="0 takes every label; 3 only the strongest. Ties are not affected.",
    )
    test_percent = forms.FloatField(
        min_value=0,
        max_value=50,
        initial=0,
        label="Held out for testing, %",
        help_text="Share of prompts in the split “test”; no prompt is in both.",
    )
    notes = forms.CharField(
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="What this release is for; shown on its card.",
    )

    def settings(self) -> CutSettings:
        """Of a valid form."""
        chosen: dict[str, Any] = self.cleaned_data
        return CutSettings(tuple(chosen["pools"]), chosen["tie_policy"], chosen["min_margin"], chosen["test_percent"] / 100)
