"""The form that starts a recipe, made from the recipe parameters themselves, and how many human labels they would ask for."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from django import forms

from curation import recipes
from curation.consensus import METHODS
from curation.models import Dataset
from curation.templatetags.show import plain
from models_runtime.judging import TEMPLATES

LABELS = {
    "seed_share": ("Judged first", "Share of all pairs, drawn at random, that people judge first."),
    "review_share": ("Judged next", "Share of all pairs that people judge because judges disagree on them."),
    "overlap": ("People per pair", "Human labels wanted for each of those pairs."),
    "judges": ("LLM judges", "Models that the judge server serves, separated by commas."),
    "reward_models": ("Reward models", "Folders or hub ids, separated by commas."),
    "template": ("Judge prompt", "Its version is part of every answer's key."),
    "consensus": ("Consensus", "How opinions are weighed."),
    "keep_from": ("Confirm from", "Probability from which models confirm a stored label."),
    "flip_from": ("Overrule from", "Probability from which models overrule it."),
    "seed": ("Random seed", "The same number draws the same pairs."),
}
CHOICES = {"template": tuple(TEMPLATES), "consensus": METHODS}


def form_field(name: str, default: Any) -> forms.Field:
    """The field for one recipe parameter, by the type of its default."""
    label, help_text = LABELS.get(name, (name.replace("_", " ").capitalize(), ""))
    shown: dict[str, Any] = {"label": label, "help_text": help_text, "initial": default}
    if name in CHOICES:
        return forms.ChoiceField(choices=[(each, plain(each)) for each in CHOICES[name]], **shown)
    if isinstance(default, tuple):
        return forms.CharField(required=False, max_length=2000, **{**shown, "initial": ", ".join(default)})
    if isinstance(default, float):
        return forms.FloatField(min_value=0, max_value=1, widget=forms.NumberInput(attrs={"step": "0.01"}), **shown)
    if isinstance(default, int):
        return forms.IntegerField(min_value=0, max_value=2**31 - 1, **shown)
    return forms.CharField(max_length=200, **shown)


class RecipeForm(forms.Form):
    """Every parameter of recipes.Params; `made` is the recipe once the form is valid."""

    made: recipes.Recipe

    def __init__(self, data: Mapping[str, Any] | None, *, dataset: Dataset) -> None:
        super().__init__(data, initial={"overlap": dataset.overlap})
        for field in fields(recipes.Params):
            self.fields[field.name] = form_field(field.name, field.default)

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        if not self.errors:
            try:
                self.made = recipes.build(self.data.get("recipe", recipes.DEFAULT), data)
            except recipes.BadRecipe as problem:
                self.add_error(None, str(problem))
        return data


@dataclass(frozen=True)
class Asked:
    """One review step: so many pairs, each by so many people."""

    title: str
    pairs: int
    overlap: int


@dataclass(frozen=True)
class Estimate:
    """Human labels a recipe asks for at most: pairs that two of its reviews choose are counted twice."""

    parts: tuple[Asked, ...]
    n_pairs: int

    @property
    def labels(self) -> int:
        return sum(part.pairs * part.overlap for part in self.parts)

    @property
    def pairs(self) -> int:
        return min(self.n_pairs, sum(part.pairs for part in self.parts))

    @property
    def share(self) -> float:
        return self.pairs / self.n_pairs if self.n_pairs else 0.0


def estimate(recipe: recipes.Recipe, n_pairs: int) -> Estimate:
    """What the recipe's review steps would ask of people on a dataset of this size."""
    reviews = [step for step in recipe.steps if isinstance(step, recipes.Review)]
    parts = [
        Asked(
            step.title or step.policy,
            min(n_pairs, step.n if step.n is not None else math.floor((step.share or 0) * n_pairs)),
            step.overlap,
        )
        for step in reviews
    ]
    return Estimate(tuple(parts), n_pairs)
