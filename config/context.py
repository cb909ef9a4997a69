"""What every template may use."""

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from config.waiting import Waiting, waiting_for
from curation.access import CURATORS
from curation.models import Role


def site(request: HttpRequest) -> dict[str, object]:
    """`membership` of the workspace on this page, and what its role allows."""
    membership = getattr(request, "membership", None)
    role = membership.role if membership else ""
    return {
        "membership": membership,
        "can_curate": role in (Role.OWNER, Role.CURATOR),
        "can_read": role in (Role.OWNER, Role.CURATOR, Role.VIEWER),
        "can_annotate": role in (Role.OWNER, Role.CURATOR, Role.ANNOTATOR),
        "nonce": getattr(request, "csp_nonce", ""),
        "watch_work": role in CURATORS,
        "waiting_work": SimpleLazyObject(lambda: work_that_waits(request)),
    }


def work_that_waits(request: HttpRequest) -> list[Waiting]:
    """For the banner. Annotators' pages, where every query counts, ask nothing."""
    membership = getattr(request, "membership", None)
    user = getattr(request, "user", None)
    if user is None or (membership and membership.role not in CURATORS):
        return []
    return waiting_for(user)
