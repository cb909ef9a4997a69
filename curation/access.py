"""Who may do what. Every view calls one of these on its first line.

Someone outside the workspace gets 404, so that nothing is given away; a member without the right gets 403.
"""

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from curation.models import Dataset, Membership, Role, Workspace

READERS = (Role.OWNER, Role.CURATOR, Role.VIEWER)  # see every judgment
CURATORS = (Role.OWNER, Role.CURATOR)  # change things
ANNOTATORS = (Role.OWNER, Role.CURATOR, Role.ANNOTATOR)  # may judge pairs
OWNERS = (Role.OWNER,)
MEMBERS = tuple(Role)


def membership(request: HttpRequest, workspace: str, roles: tuple[Role, ...]) -> Membership:
    """The signed-in user's membership. Raises Http404 to strangers, PermissionDenied to other roles."""
    if not request.user.is_authenticated:
        raise Http404
    found = Membership.objects.select_related("workspace", "user").filter(workspace__slug=workspace, user=request.user).first()
    if found is None:
        raise Http404
    request.membership = found  # before the refusal: its page still says where the member is
    if found.role not in roles:
        raise PermissionDenied("Your role in this workspace does not allow this. Ask an owner of the workspace.")
    return found


def workspace_for(request: HttpRequest, workspace: str, roles: tuple[Role, ...]) -> Workspace:
    return membership(request, workspace, roles).workspace


def dataset_for(request: HttpRequest, workspace: str, dataset: str, roles: tuple[Role, ...]) -> Dataset:
    """The dataset, with `.workspace` loaded. Same errors as membership()."""
    found = membership(request, workspace, roles).workspace
    try:
        return Dataset.objects.select_related("workspace").get(workspace=found, slug=dataset)
    except Dataset.DoesNotExist:
        raise Http404(f"There is no dataset {dataset!r} in {found.name}.") from None
