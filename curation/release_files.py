"""Releases as folders that trainers load: data files, card, manifest and licence note, written whole or not at all."""

import json
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from curation import card, exporters
from curation.exporters import Layout, ReleasedRow, Unexportable
from curation.models import Release
from curation.release_rows import CutRow, CutSettings, ReleaseError, stream

MANIFEST = "manifest.json"


def export(
    release: Release,
    *,
    profile: str = "trl_implicit",
    format: str = "parquet",
    folder: Path | None = None,
    style: str = "conversational",
    provenance: bool = False,
) -> Path:
    """The folder with the release in this layout: one file per split, README.md, manifest.json, LICENSE.md.

    Without `folder` it is kept below PATHS.releases and made once; a folder named by the caller must be empty or not there.
    `datasets.load_dataset(folder)` reads either. Raises ReleaseError; the same release gives the same bytes every time.
    """
    try:
        layout = Layout(profile, format, style, provenance)
        target = folder or kept_folder(release, layout)
        if folder is None and target.exists():
            return target
        if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ReleaseError(f"{folder} is there already and is not an empty folder.")
        return _write_folder(release, layout, target)
    except Unexportable as error:
        raise ReleaseError(str(error)) from error


def kept_folder(release: Release, layout: Layout) -> Path:
    return settings.PATHS.releases / release.content_hash / f"v{release.version}-{release.pk}-{layout.name}"


def _write_folder(release: Release, layout: Layout, target: Path) -> Path:
    """Writes beside the target and moves the folder into place, so that nobody reads half of one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    making = target.parent / f".{target.name}.{uuid.uuid4().hex}"
    making.mkdir()
    try:
        with transaction.atomic():
            exporters.write_files(rows_of(release), making, layout)
        for name, text in side_files(release, layout).items():
            (making / name).write_text(text, encoding="utf-8", newline="\n")
        _move(making, target)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return target


def _move(making: Path, target: Path) -> None:
    try:
        making.rename(target)  # an empty folder gives way
    except OSError:
        if not target.is_dir():
            raise
        # Somebody else was faster; theirs has the same bytes.


def cut_rows_of(release: Release) -> Iterator[CutRow]:
    """The release's rows as the ledger gives them, up to the release's watermark. Call inside a transaction."""
    cut_settings = CutSettings.of(release.manifest["settings"])
    found = stream(release.dataset, cut_settings, watermark=release.manifest["watermarks"]["decision"])
    return (cut_row for cut_row in found if cut_row.row is not None)


def rows_of(release: Release) -> Iterator[ReleasedRow]:
    """cut_rows_of() without where each comes from. Call inside a transaction."""
    return (cut_row.row for cut_row in cut_rows_of(release) if cut_row.row is not None)


def side_files(release: Release, layout: Layout) -> dict[str, str]:
    """Name -> text of everything that lies beside the data files."""
    facts = card_facts(release)
    return {
        "README.md": card.front_matter(facts, layout) + card.body(facts, layout),
        MANIFEST: json.dumps(full_manifest(release), indent=2, ensure_ascii=False, sort_keys=True) + "\n",
        "LICENSE.md": card.licence_note(facts),
    }


def full_manifest(release: Release) -> dict[str, Any]:
    """The manifest with who cut the release and when, which are no part of its content."""
    return {**release.manifest, "created_at": release.created_at.isoformat(), "notes": release.notes}


def card_facts(release: Release) -> card.CardFacts:
    return card.CardFacts(created=release.created_at.date().isoformat(), notes=release.notes, manifest=release.manifest)


def exported(release: Release) -> list[Path]:
    """The folders that this release was exported to below PATHS.releases."""
    return sorted((settings.PATHS.releases / release.content_hash).glob(f"v{release.version}-{release.pk}-*"))


def layout_of(folder: Path) -> Layout:
    """The layout that a kept folder's name stands for."""
    _, _, profile, file_format, *rest = folder.name.split("-")
    return Layout(profile, file_format, "plain" if "plain" in rest else "conversational", "provenance" in rest)


def first_fault(folder: Path, rows: Iterable[ReleasedRow], release: Release) -> str:
    """'' where the folder's files hold these rows and this manifest, else the first thing that differs."""
    layout = layout_of(folder)
    try:
        if json.loads((folder / MANIFEST).read_text(encoding="utf-8")) != full_manifest(release):
            return f"{folder.name}/{MANIFEST} is not the release's manifest"
        return _first_data_fault(folder, rows, layout)
    except (OSError, ValueError) as error:
        return f"{folder.name} cannot be read: {error}"


def _first_data_fault(folder: Path, rows: Iterable[ReleasedRow], layout: Layout) -> str:
    read = {path.stem: exporters.read_file(path) for path in sorted(folder.glob(f"*.{layout.format}"))}
    places = dict.fromkeys(read, 0)
    for row in rows:
        name = exporters.file_name(row.split, layout.format)
        if row.split not in read:
            return f"{folder.name}/{name} is missing"
        places[row.split] += 1
        columns = exporters.differing(exporters.to_columns(row, layout), next(read[row.split], {}))
        if columns:
            return f"{folder.name}/{name}: row {places[row.split]} (pair {row.id!r}) differs in {', '.join(columns)}"
    for split, rest in read.items():
        if next(rest, None) is not None:
            return f"{folder.name}/{exporters.file_name(split, layout.format)} has rows that the release does not have"
    return ""
