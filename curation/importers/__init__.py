"""Data in: files become prompts, responses, pairs and judgments. reading and shapes are pure, load writes, jobs runs a file."""

from curation.importers.jobs import Busy, cancel, progress, resume, shape_of_file, stalled, start_import, stored_upload

__all__ = ["Busy", "cancel", "progress", "resume", "shape_of_file", "stalled", "start_import", "stored_upload"]
