"""manage.py import FILE... --dataset SLUG: pairs, labels and verdicts out of JSONL, JSONL.gz and Parquet files."""

import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_slug
from django.db.models import Count, Min

from curation import importers, people
from curation.importers.shapes import SHAPES
from curation.models import Dataset, Import, Judgment
from curation.waking import wake_import

SHOWN_CODES = 12


class Command(BaseCommand):
    help = (
        "Import pairs, labels and verdicts. Repeating an import changes nothing; one that was stopped goes on where it was."
        " Exit status 1: a file could not be read, or held no good row."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a file, or a folder of them")
        parser.add_argument("--dataset", required=True, help="made if it is not there yet")
        parser.add_argument("--workspace", default=people.DEFAULT_WORKSPACE)
        parser.add_argument("--format", default="auto", choices=("auto", *SHAPES), help="docs/import.md describes them")
        parser.add_argument("--name", default="", help="what pages call the dataset, when it is made")
        parser.add_argument("--source", default="", help="where the data is from, when the dataset is made")
        parser.add_argument("--licence", default="", help="its licence, when the dataset is made")
        parser.add_argument("--job", action="store_true", help="leave the work to a worker")

    def handle(self, *args: Any, **options: Any) -> None:
        files = self.in_order(options["files"])
        dataset = dataset_for(options)
        start = self.enqueue if options["job"] else self.run_here
        good = [start(dataset, path, options["format"]) for path in files]
        if not all(good):
            sys.exit(1)

    def in_order(self, sources: list[Path]) -> list[Path]:
        found: list[Path] = []
        for source in sources:
            if not source.exists():
                raise CommandError(f"There is no file {source}.")
            inside = importers.files_in(source)
            if not inside:
                self.stdout.write(f"{printable(source.name)}: no file in it holds rows of a known shape")
            found.extend(inside)
        if not found:
            raise CommandError("There is nothing to import here.")
        return importers.in_order(found)

    def enqueue(self, dataset: Dataset, path: Path, shape: str) -> bool:
        with path.open("rb") as file:
            stored = importers.stored_upload(iter(lambda: file.read(1024 * 1024), b""))
        started = importers.start_import(dataset, stored, file_name=path.name, shape=shape)
        if Path(started.path) != stored.resolve():
            stored.unlink()
        wake_import(started)
        self.stdout.write(f"{printable(path.name)}: import {started.pk} is waiting for a worker")
        return True

    def run_here(self, dataset: Dataset, path: Path, shape: str) -> bool:
        """Import one file in this process. Returns whether a good row is in."""
        began = time.monotonic()
        try:
            started = importers.start_import(dataset, path, file_name=path.name, shape=shape)
        except OSError as error:
            self.stderr.write(f"{printable(path.name)}: cannot be read: {error.strerror}")
            return False
        if started.lines_done:
            self.stdout.write(f"{printable(path.name)}: going on after line {started.lines_done:,}")
        line = ProgressLine(path.name, started)
        try:
            self.follow(started, line)
        except KeyboardInterrupt:
            line.clear()
            self.stderr.write(f"Stopped. The same command goes on where {printable(path.name)} was left.")
            sys.exit(130)
        line.clear()
        started.refresh_from_db()
        self.report(started, time.monotonic() - began)
        return started.rows_new + started.rows_known > 0

    def follow(self, started: Import, line: "ProgressLine") -> None:
        """Work until the import has ended, or wait for the process that holds it."""
        while importers.resume(started.pk, watch=line.show):
            pass
        if importers.is_open(started.pk):
            self.stdout.write("Another process holds this import; waiting for it to end or to let go.")
        while importers.is_open(started.pk):
            time.sleep(0.5)
            importers.resume(started.pk, watch=line.show)

    def report(self, done: Import, seconds: float) -> None:
        rows = done.rows_new + done.rows_known + done.rows_bad
        n_judgments = Judgment.objects.filter(imported=done).count()
        self.stdout.write(
            f"{printable(done.file_name)}: {done.state}, {done.shape}; rows: {done.rows_new:,} new, {done.rows_known:,} known,"
            f" {done.rows_bad:,} bad; {n_judgments:,} judgments new; {seconds:.1f} s, {rows / max(seconds, 0.001):,.0f} rows/s"
        )
        if done.error:
            self.stdout.write(f"  {printable(done.error)}")
        grouped = done.issues.values("code", "fatal").annotate(n=Count("id"), first=Min("id")).order_by("-fatal", "-n", "code")
        firsts = {issue.pk: issue for issue in done.issues.filter(pk__in=[group["first"] for group in grouped[:SHOWN_CODES]])}
        for group in grouped[:SHOWN_CODES]:
            issue = firsts[group["first"]]
            effect = "skipped" if group["fatal"] else "warning"
            self.stdout.write(
                f"  {group['n']:>7,} x {group['code']} ({effect}), first in line {issue.line}: {printable(issue.reason)}"
            )


class ProgressLine:
    """One line on a terminal that is written over; nothing where the output is no terminal."""

    def __init__(self, name: str, started: Import) -> None:
        self.name = printable(name)
        self.rows_before = importers.progress(started).rows
        self.began = time.monotonic()
        self.on = sys.stderr.isatty()

    def show(self, imported: Import) -> None:
        if self.on:
            rows = importers.progress(imported)
            speed = (rows.rows - self.rows_before) / max(time.monotonic() - self.began, 0.001)
            sys.stderr.write(f"\r\x1b[K{self.name}: {rows.share:4.0%}  {rows.rows:,} rows  {speed:,.0f} rows/s")
            sys.stderr.flush()

    def clear(self) -> None:
        if self.on:
            sys.stderr.write("\r\x1b[K")


def dataset_for(options: dict[str, Any]) -> Dataset:
    for name in ("dataset", "workspace"):
        try:
            validate_slug(options[name])
        except ValidationError:
            raise CommandError(f"--{name} must be letters, digits, - and _ only.") from None
        if len(options[name]) > 64:
            raise CommandError(f"--{name} may have 64 characters at most.")
    facts = {key: options[key] for key in ("name", "source", "licence") if options[key]}
    return people.get_or_create_dataset(people.get_or_create_workspace(options["workspace"]), options["dataset"], **facts)


def printable(text: str) -> str:
    """Without the control characters with which a file could write to the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
