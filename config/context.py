"""What every template may use."""

from django.http import HttpRequest

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
    }
