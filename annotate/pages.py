"""The pages beside the queue: the guideline with its versions, and a person's own answers."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotate import guidelines, progress, screen, slots
from annotate.forms import AnswerForm, GuidelineForm
from annotate.models import Guideline
from curation import judgments
from curation.access import ANNOTATORS, CURATORS, MEMBERS, dataset_for
from curation.models import Dataset, Judgment, User

PAGE_SIZE = 50


@require_http_methods(["GET", "HEAD", "POST"])
def guideline(request: HttpRequest, workspace: str, dataset: str) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, CURATORS if request.method == "POST" else MEMBERS)
    latest = guidelines.in_force(found)
    form = GuidelineForm(request.POST if request.method == "POST" else {"text": latest.text})
    if request.method == "POST" and form.is_valid():
        made = guidelines.revise(found, text=form.cleaned_data["text"], user=request.user)
        messages.success(request, f"Version {made.version} is in force.")
        return redirect("guideline", workspace, dataset)
    versions = Guideline.objects.filter(dataset=found).select_related("created_by").order_by("-version")
    shown = version_of(found, request.GET["version"]) if request.GET.get("version") else latest
    context = {"dataset": found, "form": form, "versions": versions, "shown": shown, "latest": latest}
    context["seen"] = guidelines.seen(shown, request.user)
    return render(request, "annotate/guideline.html", context, status=400 if request.method == "POST" else 200)


def version_of(dataset: Dataset, asked: str) -> Guideline:
    number = int(asked) if asked.isdecimal() and len(asked) < 9 else 0
    found = Guideline.objects.filter(dataset=dataset, version=number).first()
    if found is None:
        raise Http404("There is no such version of the guideline.")
    return found


@require_POST
def guideline_seen(request: HttpRequest, workspace: str, dataset: str) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, MEMBERS)
    guidelines.mark_seen(version_of(found, request.POST.get("version", "")), user=request.user)
    if request.POST.get("quiet"):
        return HttpResponse(status=204)
    return redirect("judge", workspace, dataset)


@never_cache
@require_safe
def my_work(request: HttpRequest, workspace: str, dataset: str) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, ANNOTATORS)
    mine = judgments.current(found).filter(judge__user=request.user).select_related("pair__prompt").order_by("-id")
    before = request.GET.get("before", "")
    if before.isdecimal() and len(before) < 19:
        mine = mine.filter(id__lt=int(before))
    page = list(mine[: PAGE_SIZE + 1])
    rows = [{"judgment": row, "words": screen.words(row)} for row in page[:PAGE_SIZE]]
    context = {
        "dataset": found,
        "rows": rows,
        "older": rows[-1]["judgment"].pk if len(page) > PAGE_SIZE else None,
        "first_page": not before,
        "progress": progress.own(found, request.user),
        "median_seconds": progress.median_seconds(found, request.user),
    }
    return render(request, "annotate/my_work.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def my_answer(request: HttpRequest, workspace: str, dataset: str, judgment_id: int) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, ANNOTATORS)
    latest = own_answer(found, request.user, judgment_id)
    form = AnswerForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return change(request, found, latest, form)
    shown = form.as_typed() if request.method == "POST" else {}
    context = {"dataset": found, "judgment": latest, "screen": screen.of_judgment(latest, **shown)}
    return render(request, "annotate/my_answer.html", context, status=422 if shown else 200)


def own_answer(dataset: Dataset, user: User, judgment_id: int) -> Judgment:
    """The latest version of this person's answer. Raises Http404 for anybody else's and for one taken back."""
    mine = Judgment.objects.select_related("dataset", "judge").filter(dataset=dataset, judge__user=user)
    given = mine.filter(pk=judgment_id).first()
    latest = slots.latest_of(given) if given else None
    if latest is None or latest.retracted:
        raise Http404("You have no such answer here.")
    return latest


def change(request: HttpRequest, dataset: Dataset, judgment: Judgment, form: AnswerForm) -> HttpResponse:
    outcome = slots.edit(judgment, request.user, form.answer(), form.cleaned_data["client_id"])
    messages.success(request, f"Changed: {screen.words(outcome.judgment)}.")
    return redirect("my_work", dataset.workspace.slug, dataset.slug)
