"""Data in: files become prompts, responses, pairs and judgments. reading and shapes are pure, load writes, jobs runs a file."""

from curation.importers.files import files_in, in_order, shape_of_file, stored_upload, taken_upload
from curation.importers.jobs import cancel, is_open, progress, resume, stalled, start_import

__all__ = [
    "cancel",
    "files_in",
    "in_order",
    "is_open",
    "progress",
    "resume",
    "shape_of_file",
    "stalled",
    "start_import",
    "stored_upload",
    "taken_upload",
]
