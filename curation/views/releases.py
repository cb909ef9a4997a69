"""Releases: what a cut would take, what each version holds, and its files."""

from typing import Any

from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from curation import card, exporters, release_files, releases
from curation.access import CURATORS, READERS, dataset_for
from curation.listing import whole
from curation.models import Dataset, Release
from curation.release_form import ReleaseForm

PAGE = 25
WEB_LIMIT = 100_000  # pairs: beyond, a cut takes longer than a page should wait, and the command does it


def release_list(request: HttpRequest, workspace: str, dataset: str) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, READERS)
    before = whole(request.GET.get("before")) or 2**31
    shown = list(
        found.releases.filter(version__lt=before).select_related("parent", "created_by").order_by("-version")[: PAGE + 1]
    )
    context = {"dataset": found, "releases": shown[:PAGE], "older": shown[PAGE - 1].version if len(shown) > PAGE else None}
    return render(request, "curation/releases.html", context)


def release_new(request: HttpRequest, workspace: str, dataset: str) -> HttpResponse:
    """The form with what it would take. GET alone: every choice is in the address."""
    found = dataset_for(request, workspace, dataset, CURATORS)
    form = ReleaseForm(request.GET) if "tie_policy" in request.GET else ReleaseForm(defaults())
    page = "curation/release_new.html#preview" if request.htmx else "curation/release_new.html"
    return render(request, page, form_context(found, form))


def defaults() -> dict[str, Any]:
    return {name: field.initial if field.initial is not None else "" for name, field in ReleaseForm.base_fields.items()}


def form_context(dataset: Dataset, form: ReleaseForm) -> dict[str, Any]:
    latest = dataset.releases.order_by("-version").first()
    seen = releases.preview(dataset, form.settings()) if form.is_valid() else None
    left_out = [(card.CAUSES[cause], pool, n) for cause, pool, n in seen.left_out] if seen else []
    return {
        "dataset": dataset,
        "form": form,
        "preview": seen,
        "left_out": left_out,
        "latest": latest,
        "too_many": seen and seen.n_pairs > WEB_LIMIT,
    }


@require_POST
def release_cut(request: HttpRequest, workspace: str, dataset: str) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, CURATORS)
    form = ReleaseForm(request.POST)
    context = form_context(found, form)
    if form.is_valid() and "count" in request.POST:  # how the preview follows the choices where scripts do not run
        return render(request, "curation/release_new.html", context)
    if not form.is_valid() or context["too_many"]:
        return render(request, "curation/release_new.html", context, status=400)
    try:
        release, new = releases.cut_if_changed(found, form.settings(), user=request.user, notes=form.cleaned_data["notes"])
    except releases.ReleaseError as error:
        return render(request, "curation/release_new.html", {**context, "error": str(error)}, status=409)
    if new:
        messages.success(request, f"Release {release.version} is cut.")
    else:
        messages.info(request, f"Nothing changed since release {release.version}, so no new one was made.")
    return redirect("release", workspace, dataset, release.version)


def release_page(request: HttpRequest, workspace: str, dataset: str, version: int) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, READERS)
    release = release_of(found, version)
    context = {
        "dataset": found,
        "release": release,
        "manifest": release.manifest,
        "left_out": [(card.CAUSES[row["cause"]], row["pool"], row["pairs"]) for row in release.manifest["left_out"]],
        "card": card.body(release_files.card_facts(release), heading=False),
        "downloads": downloads(release),
        "latest": found.releases.order_by("-version").first(),
    }
    return render(request, "curation/release.html", context)


def downloads(release: Release) -> list[dict[str, Any]]:
    """One row per profile and split, the training split first."""
    splits = sorted(release.manifest["released"]["rows_by_split"].items(), reverse=True)
    return [{"split": split, "rows": n, "profile": profile} for profile in reversed(exporters.PROFILES) for split, n in splits]


def release_download(
    request: HttpRequest, workspace: str, dataset: str, version: int, profile: str, format: str
) -> HttpResponseBase:
    """One split's file, made on first demand and streamed. ?split=, ?style=plain and ?provenance=1 choose what is in it."""
    found = dataset_for(request, workspace, dataset, READERS)
    release = release_of(found, version)
    splits = list(release.manifest["released"]["rows_by_split"])
    split = request.GET.get("split") or splits[-1]
    if profile not in exporters.PROFILES or format not in exporters.FORMATS or split not in splits:
        raise Http404("There is no such file of this release.")
    provenance, style = request.GET.get("provenance") == "1", request.GET.get("style") or "conversational"
    try:
        folder = releases.export(release, profile=profile, format=format, style=style, provenance=provenance)
    except releases.ReleaseError as error:
        messages.error(request, str(error))
        return redirect("release", workspace, dataset, version)
    path = folder / exporters.file_name(split, format)
    # Slugs and words of this app alone: nothing in the name comes from the data.
    name = f"{dataset}-v{version}-{profile}{'-provenance' if provenance else ''}-{split}.{format}"
    return FileResponse(path.open("rb"), as_attachment=True, filename=name, content_type="application/octet-stream")


def release_manifest(request: HttpRequest, workspace: str, dataset: str, version: int) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, READERS)
    return JsonResponse(
        release_files.full_manifest(release_of(found, version)), json_dumps_params={"indent": 2, "sort_keys": True}
    )


def release_of(dataset: Dataset, version: int) -> Release:
    related = Release.objects.select_related("dataset__workspace", "parent", "created_by")
    return get_object_or_404(related, dataset=dataset, version=version)
