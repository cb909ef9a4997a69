"""A workspace: its datasets and who may do what."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from curation import people
from curation.access import CURATORS, MEMBERS, OWNERS, membership, workspace_for
from curation.forms import MemberForm, NewDatasetForm
from curation.models import Membership, Role
from curation.views.home import with_figures, workspace_view


def workspace(request: HttpRequest, workspace: str) -> HttpResponse:
    found = membership(request, workspace, MEMBERS)
    return shown(request, found, NewDatasetForm(workspace=found.workspace))


def shown(request: HttpRequest, found: Membership, form: NewDatasetForm, *, status: int = 200) -> HttpResponse:
    with_figures([found])
    item = workspace_view(found)
    context = {**item, "page_item": item, "form": form, "n_members": found.workspace.memberships.count()}
    return render(request, "curation/workspace.html", context, status=status)


@require_POST
def dataset_new(request: HttpRequest, workspace: str) -> HttpResponse:
    found = membership(request, workspace, CURATORS)
    form = NewDatasetForm(request.POST, workspace=found.workspace)
    if not form.is_valid():
        return shown(request, found, form, status=400)
    dataset = people.get_or_create_dataset(found.workspace, form.cleaned_data["slug"], name=form.cleaned_data["name"])
    messages.success(request, f"{dataset.name} is made. It is empty: import a file next.")
    return redirect("dataset", workspace, dataset.slug)


def members(request: HttpRequest, workspace: str) -> HttpResponse:
    found = workspace_for(request, workspace, OWNERS)
    form = MemberForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return add(request, workspace, form)
    listed = found.memberships.select_related("user").order_by("user__username")
    context = {"workspace": found, "members": listed, "form": form, "roles": Role.choices}
    return render(request, "curation/members.html", context, status=400 if form.errors else 200)


def add(request: HttpRequest, workspace: str, form: MemberForm) -> HttpResponse:
    """Let the person in. A known account keeps its password: owners of one workspace hold no key to others."""
    data, owned = form.cleaned_data, request.membership.workspace
    if form.known and owned.memberships.filter(user=form.known).exists():
        messages.info(request, f"{form.known} is a member already; change the role in the list.")
        return redirect("members", workspace)
    user = people.add_member(owned, data["username"], Role(data["role"]), password=None if form.known else data["password"])
    account = "their own password, which they have already" if form.known else "the password you set"
    messages.success(request, f"{user} is now {data['role']} here and signs in with {account}.")
    return redirect("members", workspace)


@require_POST
def member_change(request: HttpRequest, workspace: str, member_id: int) -> HttpResponse:
    """Change a role, or end the membership (`remove` in the form)."""
    found = get_object_or_404(workspace_for(request, workspace, OWNERS).memberships.select_related("user"), pk=member_id)
    try:
        if "remove" in request.POST:
            people.remove_member(found)
            messages.success(request, f"{found.user} is no longer a member. Their judgments stay.")
        elif request.POST.get("role") in Role.values:
            people.change_role(found, Role(request.POST["role"]))
            messages.success(request, f"{found.user} is now {request.POST['role']}.")
    except people.LastOwner as refusal:
        messages.error(request, str(refusal))
    still_owner = Membership.objects.filter(workspace=found.workspace_id, user=request.user, role=Role.OWNER).exists()
    return redirect("members", workspace) if still_owner else redirect("home")
