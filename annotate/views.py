"""The judging page and what it posts. Every answer goes through annotate/slots.py."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from annotate import screen, slots
from annotate.forms import AnswerForm, DraftForm, SkipForm
from annotate.models import Slot
from curation.access import ANNOTATORS, dataset_for
from curation.models import Dataset

SAID = {
    "saved": "Saved: {words}.",
    "repeated": "You had already answered this pair: {words}. That answer stands; change it under My work.",
    "extra": "Saved: {words}. Your time on this pair had run out and others had answered it, so yours counts beside theirs.",
}
TAKEN_BACK = {
    "answer": "Answer taken back: change it and submit again.",
    "skip": "Skip taken back: here is the pair again.",
}


@never_cache
@require_safe
def judge(request: HttpRequest, workspace: str, dataset: str) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, ANNOTATORS)
    context = screen.judging(found, request.user, slot=slots.claim(found, request.user))
    return render(request, "annotate/judge.html", context | {"raw": request.GET.get("view") == "raw"})


@require_POST
def judge_submit(request: HttpRequest, workspace: str, dataset: str) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, ANNOTATORS)
    slot, guideline = screen.handed_out(request.POST.get("ticket", ""), found, request.user)
    form = AnswerForm(request.POST)
    if not form.is_valid():
        return again(request, found, slot, form)
    answer = form.answer(guideline=guideline, at_most_seconds=screen.seconds_since(slot.leased_at))
    outcome = slots.submit(slot, request.user, answer, form.cleaned_data["client_id"])
    return next_pair(request, found, SAID[outcome.state].format(words=screen.words(outcome.judgment)), outcome.state)


@require_POST
def judge_skip(request: HttpRequest, workspace: str, dataset: str) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, ANNOTATORS)
    slot, _ = screen.handed_out(request.POST.get("ticket", ""), found, request.user)
    form = SkipForm(request.POST)
    slots.skip(slot, request.user, reason=form.cleaned_data["skip_reason"] if form.is_valid() else "")
    return next_pair(request, found, "Skipped.", "skipped")


@require_POST
def judge_undo(request: HttpRequest, workspace: str, dataset: str) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, ANNOTATORS)
    undone = slots.undo(request.user, found)
    if undone is None:
        return next_pair(request, found, "Nothing to take back here. Older answers are under My work.", "refused")
    if undone.slot is None:
        return next_pair(request, found, "Somebody else has taken the pair you skipped.", "refused")
    return next_pair(request, found, TAKEN_BACK[undone.what], "undone")


@require_POST
def judge_draft(request: HttpRequest, workspace: str, dataset: str) -> JsonResponse:
    found = dataset_for(request, workspace, dataset, ANNOTATORS)
    slot, _ = screen.handed_out(request.POST.get("ticket", ""), found, request.user)
    form = DraftForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"saved": False, "errors": form.errors}, status=400)
    return JsonResponse({"saved": slots.save_draft(slot, request.user, draft=form.draft())})


@require_POST
def judge_renew(request: HttpRequest, workspace: str, dataset: str) -> JsonResponse:
    found = dataset_for(request, workspace, dataset, ANNOTATORS)
    slot, _ = screen.handed_out(request.POST.get("ticket", ""), found, request.user)
    return JsonResponse({"held": slots.renew(slot, request.user)})


def next_pair(request: HttpRequest, dataset: Dataset, said: str, state: str) -> HttpResponse:
    """The next pair as a fragment for htmx, or by redirect without scripts; `said` tells what was stored."""
    if not request.htmx:
        level = messages.SUCCESS if state in ("saved", "skipped", "undone") else messages.WARNING
        messages.add_message(request, level, said)
        return redirect("judge", dataset.workspace.slug, dataset.slug)
    context = screen.judging(dataset, request.user, slot=slots.claim(dataset, request.user))
    return fragment(request, context | {"said": said, "said_state": state})


def again(request: HttpRequest, dataset: Dataset, slot: Slot, form: AnswerForm) -> HttpResponse:
    """The same pair with what was typed and what is wrong with it."""
    context = screen.judging(dataset, request.user, slot=slot, **form.as_typed())
    if not request.htmx:
        return render(request, "annotate/judge.html", context, status=422)
    return fragment(request, context)


def fragment(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    response = render(request, "annotate/judge.html#task", context)
    response["Cache-Control"] = "no-store"
    response["X-Concord-Task"] = context.get("said_state", "again")  # judge.js: anything without it was not saved
    return response
