"""Step "signals": measure pairs by the functions of curation.quality."""

from typing import Any

from django.db.models import Count

from curation import recipes
from curation.bulk import insert_new
from curation.models import Dataset, Judgment, Pair, Recipe, Run, SignalValue
from curation.pair_views import load_views
from curation.quality import SIGNALS
from curation.steps.base import CannotRun, Step, Stored, Work, newest, on_cpu
from curation.types import PairView

Values = dict[str, list[float | None]]


def names(params: recipes.Signals) -> list[str]:
    return list(params.names or SIGNALS)


def prepare(dataset: Dataset, params: recipes.Signals, recipe: Recipe | None) -> None:
    unknown = [name for name in params.names if name not in SIGNALS]
    if unknown:
        raise CannotRun(f"There is no signal {', '.join(unknown)}; there are: {', '.join(SIGNALS)}.")


def what_the_signals_see(dataset: Dataset, params: recipes.Signals) -> dict[str, Any]:
    """Newest row of everything that the chosen signals look at beyond the pair itself."""
    needs = {need for name in names(params) for need in SIGNALS[name].needs}
    found: dict[str, Any] = {"versions": {name: SIGNALS[name].version for name in names(params)}}
    if "votes" in needs:
        found["judgment"] = newest(Judgment.objects.filter(dataset=dataset))
    if "twins" in needs:
        found["pair"] = newest(Pair.objects.filter(dataset=dataset))
    if needs & {"rewards", "consensus"}:
        found["run"] = newest(Run.objects.filter(dataset=dataset, step__in=["reward", "consensus"]))
    return found


def compute(work: Work) -> tuple[list[int], Values]:
    """Values of the pairs that lack one under this run's key."""
    wanted = names(work.params)
    known = SignalValue.objects.filter(pair__in=work.pairs.values("id"), key=work.run.key, name__in=wanted).order_by()
    complete = set(known.values("pair").annotate(n=Count("id")).filter(n=len(wanted)).values_list("pair_id", flat=True))
    ids = [pair for pair in work.pairs.values_list("id", flat=True) if pair not in complete]
    needs = frozenset(need for name in wanted for need in SIGNALS[name].needs)
    views: list[PairView] = load_views(work.dataset, ids, needs=needs) if ids else []
    return [view.id for view in views], {name: SIGNALS[name].measure(views) for name in wanted}


def store(work: Work, computed: tuple[list[int], Values]) -> Stored:
    ids, values = computed
    rows = [
        SignalValue(pair_id=pair, name=name, key=work.run.key, value=value, run=work.run)
        for name, column in values.items()
        for pair, value in zip(ids, column, strict=True)
    ]
    return Stored(n_values=insert_new(rows))


STEP = Step(prepare, compute, store, on_cpu, ("curation.steps.signals", "curation.quality"), inputs=what_the_signals_see)
