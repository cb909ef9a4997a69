"""Step "consensus": what all judgments of a pair say together. Rebuilding gives the same rows again, so it may be repeated."""

from curation import consensus, recipes
from curation.models import Dataset, Recipe
from curation.steps.base import CannotRun, Step, Stored, Work, on_cpu, where_the_ledger_stands


def prepare(dataset: Dataset, params: recipes.Consensus, recipe: Recipe | None) -> None:
    if params.method not in consensus.METHODS:
        raise CannotRun(f"There is no consensus method {params.method!r}; there are: {', '.join(consensus.METHODS)}.")


def compute(work: Work) -> int:
    return consensus.rebuild(work.dataset, method=work.params.method)


def store(work: Work, n_pairs: int) -> Stored:
    return Stored(n_values=n_pairs, report={"pairs": n_pairs})


CODE = ("curation.steps.consensus", "curation.consensus", "curation.aggregation", "curation.dawid_skene")
STEP = Step(prepare, compute, store, on_cpu, CODE, inputs=where_the_ledger_stands, whole=True)
