"""manage.py recipe DATASET: start a recipe, and with --wait follow it until it is done or waits for people."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from curation import people, recipes, runs
from curation.models import Dataset, Recipe, Run
from curation.steps.base import CannotRun

POLL_SECONDS = 0.5


class Command(BaseCommand):
    help = "Start a recipe on a dataset: " + ", ".join(recipes.BUILDERS)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dataset", help="slug of the dataset")
        parser.add_argument("--workspace", default=people.DEFAULT_WORKSPACE)
        parser.add_argument("--name", default=recipes.DEFAULT, help=f"which recipe; default: {recipes.DEFAULT}")
        parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="may be given several times")
        parser.add_argument("--wait", action="store_true", help="follow it until it is done, fails, or waits for people")

    def handle(self, *args: Any, **options: Any) -> None:
        dataset = Dataset.objects.filter(workspace__slug=options["workspace"], slug=options["dataset"]).first()
        if dataset is None:
            raise CommandError(f"There is no dataset {options['dataset']!r} in the workspace {options['workspace']!r}.")
        try:
            started = runs.start_recipe(dataset, options["name"], params=read_params(options["param"]))
        except (recipes.BadRecipe, CannotRun) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Recipe {started.pk} ({started.name}) started on {dataset}.")
        if options["wait"]:
            self.follow(started)

    def follow(self, recipe: Recipe) -> None:
        """Print a line per step and state, until nothing more can happen without a person."""
        steps, shown = len(recipe.definition["steps"]), ""
        while True:
            run = recipe.runs.order_by("-step_no").first()
            found = runs.progress(run)
            line = described(run, found, steps)
            if line != shown:
                self.stdout.write(line)
                shown = line
            if found.state in ("cancelled", "reviewing") or (found.state == "done" and run.step_no + 1 == steps):
                return
            time.sleep(POLL_SECONDS)
            if (
                found.state == "failed"
                and not runs.advance(recipe.pk)
                and not recipe.runs.filter(step_no__gt=run.step_no).exists()
            ):
                raise CommandError(first_error(run))


def read_params(given: list[str]) -> dict[str, str]:
    """NAME=VALUE arguments as a dictionary."""
    wrong = [each for each in given if "=" not in each]
    if wrong:
        raise CommandError(f"--param {wrong[0]}: write NAME=VALUE.")
    return dict(each.split("=", 1) for each in given)


def described(run: Run, found: runs.Progress, steps: int) -> str:
    what = f"{run.step_no + 1}/{steps} {run.step}: {found.state}"
    if found.waiting_for_worker:
        return f"{what}, but no worker of the queue {run.queue!r} takes it: start one with `manage.py up`"
    if found.state == "reviewing":
        return f"{what}, {found.n_done} of {found.n_pairs} human answers given"
    return what


def first_error(run: Run) -> str:
    error = run.chunks.filter(state="failed").order_by("id").values_list("error", flat=True).first()
    return f"The step {run.step!r} failed: {error}"
