"""Data in, as pages: upload a file, watch it go in, see and download what was wrong with its rows."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_POST, require_safe

from curation import importers, people
from curation.access import CURATORS, READERS, dataset_for, membership
from curation.importers.faults import CODES
from curation.importers.shapes import SHAPES
from curation.models import Dataset, Import, ImportIssue, Judgment, Workspace
from curation.waking import wake_import

ISSUES_PER_PAGE = 50
IMPORTS_PER_PAGE = 50
SHAPE_NAMES = {
    "auto": "Tell by the first rows",
    "concord": "Pairs: prompt, response_a, response_b, labels, gold",
    "verdicts": "Verdicts of judges on pairs that are here",
    "preference": "TRL preference: chosen, rejected",
}
# A spreadsheet runs a cell that begins with one of these as a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class ImportForm(forms.Form):
    """A file and the dataset it goes into: one of the workspace's, or a new one."""

    file = forms.FileField(
        label="File",
        help_text="JSONL, JSONL.gz or Parquet.",
        widget=forms.FileInput(attrs={"accept": ".jsonl,.ndjson,.gz,.parquet"}),
    )
    dataset = forms.ChoiceField(label="Into", required=False)
    slug = forms.SlugField(
        label="Short name", max_length=64, required=False, help_text="Of the new dataset: letters, digits, - and _."
    )
    name = forms.CharField(label="Name", max_length=200, required=False)
    source = forms.CharField(label="Source", max_length=2000, required=False, help_text="Where the data is from.")
    licence = forms.CharField(
        label="Licence", max_length=200, required=False, help_text="An SPDX identifier such as CC-BY-4.0 where there is one."
    )
    format = forms.ChoiceField(label="Format", required=False, choices=[(name, SHAPE_NAMES[name]) for name in ("auto", *SHAPES)])

    def __init__(self, *args: Any, workspace: Workspace, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = workspace.datasets.order_by("name").values_list("slug", "name")
        self.fields["dataset"].choices = [("", "A new dataset"), *known]
        self.fields["file"].max_length = 1000

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        if not data.get("dataset") and not data.get("slug") and "slug" not in self.errors:
            self.add_error("slug", "Choose a dataset, or give the new one a short name.")
        return data


class LimitedUpload(TemporaryFileUploadHandler):
    """Streams to a file, and stops at the limit whatever the request said of its length."""

    received = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.received += len(raw_data)
        if self.received > settings.UPLOAD_LIMIT_BYTES:
            raise StopUpload(connection_reset=True)
        super().receive_data_chunk(raw_data, start)


# The token lies in the body, and reading the body takes the upload: so rights and size are looked at first, then the token.
@csrf_exempt
def import_new(request: HttpRequest, workspace: str) -> HttpResponse:
    found = membership(request, workspace, CURATORS).workspace
    if request.method == "POST":
        if int(request.META.get("CONTENT_LENGTH") or 0) > settings.UPLOAD_LIMIT_BYTES:
            return too_large(request, found)
        request.upload_handlers = [LimitedUpload(request)]
    return upload_form(request, found)


def too_large(request: HttpRequest, found: Workspace) -> HttpResponse:
    limit = settings.UPLOAD_LIMIT_BYTES // 1024**2
    messages.error(
        request, f"The file is larger than {limit:,} MB. Split it, or use the command: manage.py import FILE --dataset ..."
    )
    return render(request, "curation/import_new.html", form_context(found, ImportForm(workspace=found)), status=413)


def form_context(found: Workspace, form: ImportForm) -> dict[str, Any]:
    return {"workspace": found, "form": form, "limit_mb": settings.UPLOAD_LIMIT_BYTES // 1024**2}


@csrf_protect
def upload_form(request: HttpRequest, found: Workspace) -> HttpResponse:
    if request.method != "POST":
        form = ImportForm(workspace=found, initial={"dataset": request.GET.get("dataset", "")})
        return render(request, "curation/import_new.html", form_context(found, form))
    form = ImportForm(request.POST, request.FILES, workspace=found)
    if not form.is_valid():
        return render(request, "curation/import_new.html", form_context(found, form), status=400)
    started = start(request, found, form.cleaned_data)
    return redirect("import_detail", found.slug, started.dataset.slug, started.pk)


def start(request: HttpRequest, found: Workspace, data: dict[str, Any]) -> Import:
    """The import of the uploaded file; the running one when the same file is sent twice."""
    facts = {key: data[key] for key in ("name", "source", "licence") if data[key]}
    dataset = people.get_or_create_dataset(found, data["dataset"] or data["slug"], **({} if data["dataset"] else facts))
    stored = importers.taken_upload(Path(data["file"].temporary_file_path()))
    started = importers.start_import(
        dataset, stored, file_name=data["file"].name, shape=data["format"] or "auto", user=request.user
    )
    if Path(started.path) != stored.resolve():
        stored.unlink()
        messages.info(request, "This file is being imported already; here it is.")
    wake_import(started)
    return started


@require_safe
def imports(request: HttpRequest, workspace: str, dataset: str) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, READERS)
    listed = found.imports.select_related("created_by").order_by("-id")
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) < 19:
        listed = listed.filter(pk__lt=int(before))
    rows = list(listed[: IMPORTS_PER_PAGE + 1])
    older = rows[IMPORTS_PER_PAGE - 1].pk if len(rows) > IMPORTS_PER_PAGE else None
    return render(request, "curation/import_list.html", {"dataset": found, "imports": rows[:IMPORTS_PER_PAGE], "older": older})


def import_of(
    request: HttpRequest, workspace: str, dataset: str, import_id: int, roles: tuple[Any, ...]
) -> tuple[Dataset, Import]:
    found = dataset_for(request, workspace, dataset, roles)
    return found, get_object_or_404(Import.objects.select_related("created_by"), dataset=found, pk=import_id)


@require_safe
def import_detail(request: HttpRequest, workspace: str, dataset: str, import_id: int) -> HttpResponse:
    found, imported = import_of(request, workspace, dataset, import_id, READERS)
    code = request.GET.get("code", "")
    issues, after = issue_page(imported, code if code in CODES else "", request.GET.get("after", ""))
    is_open = imported.state in ("waiting", "running")
    context = {
        "dataset": found,
        "imported": imported,
        "progress": importers.progress(imported),
        "is_open": is_open,
        "code": code,
        "groups": imported.issues.values("code", "fatal").annotate(n=Count("id")).order_by("-fatal", "-n", "code"),
        "issues": issues,
        "after": after,
        "n_judgments": None if is_open else Judgment.objects.filter(imported=imported).count(),
    }
    live = request.htmx and not request.htmx.boosted
    return render(request, "curation/import_detail.html#live" if live else "curation/import_detail.html", context)


def issue_page(imported: Import, code: str, after: str) -> tuple[list[ImportIssue], int | None]:
    """One page of issues in the order of the file, and the key of the next one."""
    listed = imported.issues.order_by("id")
    if code:
        listed = listed.filter(code=code)
    if after.isascii() and after.isdigit() and len(after) < 19:
        listed = listed.filter(pk__gt=int(after))
    rows = list(listed[: ISSUES_PER_PAGE + 1])
    return rows[:ISSUES_PER_PAGE], rows[ISSUES_PER_PAGE - 1].pk if len(rows) > ISSUES_PER_PAGE else None


@require_POST
def import_cancel(request: HttpRequest, workspace: str, dataset: str, import_id: int) -> HttpResponse:
    _, imported = import_of(request, workspace, dataset, import_id, CURATORS)
    if importers.cancel(imported):
        messages.success(request, "Cancelled. Rows that are in stay in; importing the file again goes on with the others.")
    else:
        messages.info(request, "The import had already ended.")
    return redirect("import_detail", workspace, dataset, import_id)


@require_safe
def import_issues(request: HttpRequest, workspace: str, dataset: str, import_id: int, form: str) -> StreamingHttpResponse:
    """Every issue of an import as JSONL or CSV, streamed."""
    found, imported = import_of(request, workspace, dataset, import_id, READERS)
    if form not in REPORTS:
        raise Http404("The report is there as jsonl and csv.")
    write, kind = REPORTS[form]
    response = StreamingHttpResponse(write(imported.issues.order_by("id")), content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{found.slug}-import-{imported.pk}-issues.{form}"'
    return response


FIELDS = ("line", "external_id", "field", "code", "effect", "reason", "excerpt")


def as_values(issue: ImportIssue) -> dict[str, Any]:
    effect = CODES.get(issue.code, "row" if issue.fatal else "note")
    return {name: effect if name == "effect" else getattr(issue, name) for name in FIELDS}


def as_jsonl(issues: QuerySet[ImportIssue]) -> Iterator[str]:
    for issue in issues.iterator(chunk_size=1000):
        yield json.dumps(as_values(issue), ensure_ascii=False) + "\n"


class Echo:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


def as_csv(issues: QuerySet[ImportIssue]) -> Iterator[str]:
    writer = csv.writer(Echo())
    yield writer.writerow(FIELDS)
    for issue in issues.iterator(chunk_size=1000):
        yield writer.writerow(harmless(value) for value in as_values(issue).values())


def harmless(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    value = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "\N{REPLACEMENT CHARACTER}", value)
    return f"'{value}" if value.startswith(FORMULA_STARTS) else value


REPORTS: dict[str, tuple[Callable[[QuerySet[ImportIssue]], Iterator[str]], str]] = {
    "jsonl": (as_jsonl, "application/x-ndjson; charset=utf-8"),
    "csv": (as_csv, "text/csv; charset=utf-8"),
}
