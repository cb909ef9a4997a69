"""The page that says how the installation is."""

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from config.health import checks
from config.waiting import BEAT_LASTS, waiting_for
from curation.models import Membership, WorkerBeat


@login_required
def status(request: HttpRequest) -> HttpResponse:
    """For members of any workspace: it names no data, and only curators see which of their work waits."""
    if not Membership.objects.filter(user=request.user).exists():
        raise Http404
    found = checks()
    worst = next((state for state in ("fail", "warn") if any(check.state == state for check in found)), "ok")
    readable = not any(check.state == "fail" and check.name in ("database", "migrations") for check in found)
    workers = WorkerBeat.objects.filter(seen_at__gte=timezone.now() - BEAT_LASTS).order_by("name") if readable else []
    context = {"checks": found, "worst": worst, "workers": workers, "waiting": waiting_for(request.user) if readable else []}
    return render(request, "status.html", context)


@login_required
def banner(request: HttpRequest) -> HttpResponse:
    """The banner alone, for pages that stay open."""
    return render(request, "_banner.html", {"waiting_work": waiting_for(request.user), "watch_work": True})
