"""Rows that a command's arguments name, or an error that says what there is instead."""

from django.core.management.base import CommandError

from curation.models import Dataset


def find_dataset(workspace: str, slug: str) -> Dataset:
    """The dataset with its workspace. Raises CommandError with the names that exist there."""
    found = Dataset.objects.select_related("workspace").filter(workspace__slug=workspace, slug=slug).first()
    if found is None:
        names = ", ".join(Dataset.objects.filter(workspace__slug=workspace).order_by("slug").values_list("slug", flat=True)[:20])
        raise CommandError(f"There is no dataset {slug!r} in the workspace {workspace!r}; there are: {names or 'none'}.")
    return found
