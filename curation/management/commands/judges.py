"""manage.py judges DATASET: how often each judge is right, and how often it sticks to its verdict."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from curation import judge_report, people
from curation.management.finding import find_dataset
from curation.management.tables import aligned

COLUMNS = ("judge_model", "method", "slice", "n", "correct_ab", "correct_ba", "correct_both", "same_verdict", "unreadable")


class Command(BaseCommand):
    help = "Measure every judge against gold and against itself, in both orders."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dataset", help="slug of the dataset")
        parser.add_argument("--workspace", default=people.DEFAULT_WORKSPACE)
        parser.add_argument("--by", default="", metavar="FIELD", help="one row per value of this metadata field, such as subset")
        parser.add_argument("--json", action="store_true", help="print a list of objects")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = judge_report.report(find_dataset(options["workspace"], options["dataset"]), by=options["by"])
        if options["json"]:
            self.stdout.write(json.dumps(rows, indent=2))
            return
        self.stdout.write(aligned(COLUMNS, [[row[name] for name in COLUMNS] for row in rows]))
        for note in dict.fromkeys(row["note"] for row in rows if "note" in row):
            self.stdout.write(f"n = 0: {note}.")
        if not rows:
            self.stdout.write("No judge has judged a pair of this dataset.")
