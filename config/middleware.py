"""Response headers that every page carries."""

import secrets
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse

POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"
)


def content_security_policy(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """No inline script or style, nothing from other hosts: responses under curation are hostile text."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.csp_nonce = secrets.token_urlsafe(16)  # django_htmx and templates read this name
        response = get_response(request)
        response.setdefault("Content-Security-Policy", POLICY.format(nonce=request.csp_nonce))
        return response

    return middleware


def health(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """/healthz for containers and load balancers: first of all, as they know no host name, no HTTPS and no password."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.path_info != "/healthz":
            return get_response(request)
        from config.health import vital

        found = vital()
        # Without a broker people can still judge and nothing is lost: not a reason to take the site away.
        return JsonResponse(found, status=200 if found["database"] else 503)

    return middleware
