"""Step "decide": the rules of curation/filters.py on every pair. A pair whose standing does not change gets no new decision."""

from curation import decisions, filters, recipes
from curation.models import Dataset, Recipe
from curation.pair_views import load_views
from curation.steps.base import CannotRun, Step, Stored, Work, on_cpu, where_the_ledger_stands
from curation.types import Ruling

NEEDS = frozenset({"votes", "rewards", "consensus", "twins"})


def prepare(dataset: Dataset, params: recipes.Decide, recipe: Recipe | None) -> None:
    try:
        filters.settings_from(params.settings)
    except ValueError as error:
        raise CannotRun(str(error)) from None


def compute(work: Work) -> list[tuple[int, Ruling]]:
    settings = filters.settings_from(work.params.settings)
    ids = list(work.pairs.values_list("id", flat=True))
    views = load_views(work.dataset, ids, needs=NEEDS) if ids else []
    return [(view.id, filters.decide(view, settings)) for view in views]


def store(work: Work, computed: list[tuple[int, Ruling]]) -> Stored:
    return Stored(n_values=decisions.decide_many(work.run, computed))


STEP = Step(prepare, compute, store, on_cpu, ("curation.steps.decide", "curation.filters"), inputs=where_the_ledger_stands)
