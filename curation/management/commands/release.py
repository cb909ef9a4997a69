"""manage.py release cut|list|export|verify|push DATASET ...: what leaves Concord, and proof that it is what it says."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from curation import exporters, hub, people, releases
from curation.card import CAUSES
from curation.models import Dataset, Release
from curation.release_rows import RELEASABLE, TIE_POLICIES


class Command(BaseCommand):
    help = (
        "Cut, list, export, verify and push releases. docs/releases.md describes formats and policies."
        " Exit status 1: nothing could be released, or a release is not what it was."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        cut = actions.add_parser("cut", help="make a new version of what is decided now")
        cut.add_argument("dataset")
        cut.add_argument("--pools", default="gold,silver", help=f"of {', '.join(RELEASABLE)} (default gold,silver)")
        cut.add_argument("--tie-policy", default="drop", choices=TIE_POLICIES)
        cut.add_argument("--min-margin", type=float, default=0.0, help="least strength of a label, 0 to 3")
        cut.add_argument("--test-share", type=float, default=0.0, help="share of prompts held out as split test, 0 to 0.5")
        cut.add_argument("--notes", default="")
        cut.add_argument("--force", action="store_true", help="even where nothing changed since the latest release")
        listing = actions.add_parser("list", help="the releases of a dataset")
        listing.add_argument("dataset")
        verify = actions.add_parser("verify", help="rebuild from the ledger and compare, exported files too")
        export = actions.add_parser("export", help="write a folder that trainers load")
        push = actions.add_parser("push", help="upload to the Hugging Face Hub; the token is read from HF_TOKEN")
        for each in (verify, export):
            add_version(each)
        push.add_argument("dataset")
        push.add_argument("repo", metavar="OWNER/NAME")
        push.add_argument("--version", dest="release", type=int, help="default: the latest")
        push.add_argument("--public", action="store_true", help="make a new repository public; an existing one stays as it is")
        export.add_argument("--to", type=Path, help="an empty or new folder; default: below CONCORD_HOME/releases")
        for each in (export, push):
            add_layout(each)
        for each in (cut, listing, verify, export, push):
            each.add_argument("--workspace", default=people.DEFAULT_WORKSPACE)
            each.add_argument("--json", action="store_true", help="print JSON instead of words")

    def handle(self, *args: Any, **options: Any) -> None:
        found = Dataset.objects.select_related("workspace").filter(workspace__slug=options["workspace"], slug=options["dataset"])
        dataset = found.first()
        if dataset is None:
            raise CommandError(f"There is no dataset {options['dataset']!r} in the workspace {options['workspace']!r}.")
        try:
            getattr(self, options["action"])(dataset, options)
        except releases.ReleaseError as error:
            raise CommandError(str(error)) from error

    def cut(self, dataset: Dataset, options: dict[str, Any]) -> None:
        pools = tuple(pool.strip() for pool in options["pools"].split(",") if pool.strip())
        wanted = releases.CutSettings(pools, options["tie_policy"], options["min_margin"], options["test_share"])
        release, new = releases.cut_if_changed(dataset, wanted, notes=options["notes"], force=options["force"])
        if options["json"]:
            return self.print_json({**summary(release), "new": new})
        if not new:
            self.stdout.write(f"Nothing changed since release {release.version} ({release.content_hash[:12]}).")
            return None
        self.stdout.write(
            f"Release {release.version} of {dataset}: {release.n_rows:,} rows from {release.manifest['considered']:,} pairs, "
            f"{release.content_hash}"
        )
        for row in release.manifest["left_out"]:
            self.stdout.write(f"  left out: {row['pairs']:,} x {CAUSES[row['cause']]} ({row['pool']})")
        return None

    def list(self, dataset: Dataset, options: dict[str, Any]) -> None:
        found = Release.objects.filter(dataset=dataset).select_related("parent").order_by("-version")
        if options["json"]:
            return self.print_json([summary(release) for release in found])
        for release in found:
            self.stdout.write(
                f"{release.version:>4}  {release.created_at:%Y-%m-%d %H:%M}  {release.n_rows:>10,} rows  {release.content_hash}"
            )
        return None

    def export(self, dataset: Dataset, options: dict[str, Any]) -> None:
        release = release_of(dataset, options["release"])
        folder = releases.export(release, folder=options["to"], **layout_of(options))
        if options["json"]:
            files = sorted(path.name for path in folder.iterdir())
            return self.print_json({**summary(release), "folder": str(folder), "files": files})
        self.stdout.write(str(folder))
        return None

    def verify(self, dataset: Dataset, options: dict[str, Any]) -> None:
        release = release_of(dataset, options["release"])
        found = releases.verify(release)
        if options["json"]:
            self.print_json({**summary(release), "rows_checked": found.rows_checked, "problems": found.problems, "ok": found.ok})
        else:
            for problem in found.problems:
                self.stdout.write(problem)
            checked = f"{found.rows_checked:,} rows and {found.folders_checked} exported folders"
            self.stdout.write(f"{release}: {checked} checked, {'all is as released' if found.ok else 'NOT as released'}.")
        if not found.ok:
            sys.exit(1)

    def push(self, dataset: Dataset, options: dict[str, Any]) -> None:
        release = release_of(dataset, options["release"])
        pushed = hub.push(release, options["repo"], token=settings.HF_TOKEN, private=not options["public"], **layout_of(options))
        if options["json"]:
            return self.print_json({**summary(release), "url": pushed.url, "commit": pushed.commit, "new": pushed.new})
        self.stdout.write(
            f"{pushed.url} {'now holds' if pushed.new else 'already held'} {release} (commit {pushed.commit[:12]})."
        )
        return None

    def print_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, indent=2, ensure_ascii=False))


def add_version(parser: ArgumentParser) -> None:
    parser.add_argument("dataset")
    parser.add_argument("release", nargs="?", type=int, metavar="VERSION", help="default: the latest")


def add_layout(parser: ArgumentParser) -> None:
    parser.add_argument("--profile", default="trl_implicit", choices=exporters.PROFILES)
    parser.add_argument("--format", default="parquet", choices=exporters.FORMATS)
    parser.add_argument("--style", default="conversational", choices=exporters.STYLES)
    parser.add_argument("--provenance", action="store_true", help="add columns that say where each row came from")


def layout_of(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("profile", "format", "style", "provenance")}


def release_of(dataset: Dataset, version: int | None) -> Release:
    found = Release.objects.filter(dataset=dataset).select_related("dataset__workspace").order_by("-version")
    release = found.first() if version is None else found.filter(version=version).first()
    if release is None:
        raise CommandError(
            f"{dataset} has no release{'' if version is None else f' {version}'}. Cut one: manage.py release cut {dataset}"
        )
    return release


def summary(release: Release) -> dict[str, Any]:
    return {
        "dataset": release.dataset.slug,
        "version": release.version,
        "parent": release.parent.version if release.parent else None,
        "content_hash": release.content_hash,
        "rows": release.n_rows,
        "created_at": release.created_at.isoformat(),
    }
