"""Step "review": open a batch of pairs for people. The run is done when they have answered; curation/runs.py watches that."""

from curation import recipes, selection
from curation.models import Dataset, Recipe
from curation.steps.base import CannotRun, Step, Stored, Work, on_cpu


def prepare(dataset: Dataset, params: recipes.Review, recipe: Recipe | None) -> None:
    if params.policy not in selection.POLICIES:
        raise CannotRun(f"There is no review policy {params.policy!r}; there are: {', '.join(selection.POLICIES)}.")
    if params.n is None and params.share is None:
        raise CannotRun("Say how many pairs people should see: n, or share of all pairs.")


def compute(work: Work) -> None:
    """Nothing: choosing and opening the batch is one write, so that a crash leaves either all of it or nothing."""


def store(work: Work, nothing: None) -> Stored:
    params: recipes.Review = work.params
    chosen = {"share": params.share} if params.n is None else {"n": params.n}
    try:
        batch = selection.open_batch(
            work.dataset,
            policy=params.policy,
            overlap=params.overlap,
            run=work.run,
            user=work.run.created_by,
            title=params.title,
            **chosen,
        )
    except selection.CannotSelect as error:
        raise CannotRun(str(error)) from None
    n_items = batch.items.count()
    return Stored(n_values=n_items, report={"batch": batch.pk, "pairs": n_items}, waits=n_items > 0)


STEP = Step(prepare, compute, store, on_cpu, ("curation.steps.review",), whole=True)
