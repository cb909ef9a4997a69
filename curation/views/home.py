"""The first page after sign-in: the reader's workspaces and their datasets."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from curation.models import Membership


@login_required
def home(request: HttpRequest) -> HttpResponse:
    memberships = Membership.objects.filter(user=request.user).select_related("workspace").prefetch_related("workspace__datasets")
    return render(request, "home.html", {"memberships": memberships.order_by("workspace__name")})
