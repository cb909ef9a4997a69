"""manage.py consensus DATASET: rebuild what all judgments of each pair say together."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from curation import consensus, people
from curation.management.finding import find_dataset


class Command(BaseCommand):
    help = "Rebuild the consensus of every pair from the ledger."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dataset", help="slug of the dataset")
        parser.add_argument("--workspace", default=people.DEFAULT_WORKSPACE)
        parser.add_argument("--method", choices=consensus.METHODS, default=consensus.METHODS[0])
        parser.add_argument("--use-gold", action="store_true", help="take gold labels as the truth of their pairs")

    def handle(self, *args: Any, **options: Any) -> None:
        dataset = find_dataset(options["workspace"], options["dataset"])
        n_pairs = consensus.rebuild(dataset, method=options["method"], use_gold=options["use_gold"])
        self.stdout.write(f"{n_pairs} pairs of {dataset} have a consensus by {options['method']}.")
