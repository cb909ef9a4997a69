"""manage.py agreement DATASET: how far the people who labelled its pairs agree beyond chance."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from curation import agreement_report, people
from curation.management.finding import find_dataset
from curation.management.tables import aligned, shown

COLUMNS = ("annotators", "n", "kappa", "kappa_linear", "kappa_quadratic")
FIGURES = ("fleiss_kappa", "krippendorff_alpha", "krippendorff_alpha_ordinal")


class Command(BaseCommand):
    help = "Print how far human judges agree: Cohen's kappa by two, Fleiss' kappa, Krippendorff's alpha and majority counts."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dataset", help="slug of the dataset")
        parser.add_argument("--workspace", default=people.DEFAULT_WORKSPACE)
        parser.add_argument("--json", action="store_true", help="print one object")

    def handle(self, *args: Any, **options: Any) -> None:
        report = agreement_report.report(find_dataset(options["workspace"], options["dataset"]))
        if options["json"]:
            self.stdout.write(json.dumps(report, indent=2))
            return
        self.stdout.write(f"{report['pairs']} pairs with labels of {report['annotators']} people")
        rows = [{**row, "annotators": " / ".join(row["annotators"])} for row in report["pairwise_cohen_kappa"]]
        self.stdout.write(aligned(COLUMNS, [[row[name] for name in COLUMNS] for row in rows]))
        for name in FIGURES:
            why = report["notes"].get(name)
            self.stdout.write(f"{name}: {shown(report[name])}" + (f" ({why})" if why else ""))
        self.stdout.write("majority: " + ", ".join(f"{name} {n}" for name, n in report["majority"].items()))
