"""The files themselves: which of a folder to import, what shape they have, and where uploads lie."""

import hashlib
import shutil
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings

from curation.importers.faults import Fault
from curation.importers.reading import read
from curation.importers.shapes import DETECT_ROWS, detect

ENDINGS = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".parquet")
MAX_LINES_TO_DETECT = 1_000


def files_in(source: Path) -> list[Path]:
    """What to import of a file or folder, in order: files with verdicts last, as their pairs must be there first.

    A file stands for itself; of a folder, and those below it, the files count that hold rows of a known shape.
    """
    if not source.is_dir():
        return [source]
    inside = [path for path in sorted(source.rglob("*")) if path.is_file() and path.name.endswith(ENDINGS)]
    return in_order([path for path in inside if shape_of_file(path)])


def in_order(paths: list[Path]) -> list[Path]:
    """The same files, those with verdicts last."""
    return sorted(paths, key=lambda path: shape_of_file(path) == "verdicts") if len(paths) > 1 else paths


def shape_of_file(path: Path) -> str | None:
    """One of SHAPES, told from the first rows; None where they have none."""
    return detect(beginning(path)[0])


def beginning(path: Path) -> tuple[list[dict[str, Any]], list[Fault]]:
    """The first rows of a file, and the faults among them."""
    rows, faults = [], []
    for found in read(path):
        if found.row is not None:
            rows.append(found.row)
        if found.fault is not None:
            faults.append(found.fault)
        if len(rows) == DETECT_ROWS or found.line >= MAX_LINES_TO_DETECT:
            break
    return rows, faults


def file_hash(path: Path) -> tuple[str, int]:
    """(SHA-256, size in bytes)."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()


def stored_upload(chunks: Iterable[bytes]) -> Path:
    """The bytes in a file of their own below the uploads folder, whose name says nothing of the user's. Raises OSError."""
    folder = settings.PATHS.uploads
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / uuid.uuid4().hex
    try:
        with path.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def taken_upload(received: Path) -> Path:
    """stored_upload() of a file that may be moved."""
    path = settings.PATHS.uploads / uuid.uuid4().hex
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.move(received, path))


def drop_upload(path: str) -> None:
    """Deletes a stored upload; a file of the user's own is left alone."""
    if Path(path).parent == settings.PATHS.uploads.resolve():
        with suppress(OSError):
            Path(path).unlink()
