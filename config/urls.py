from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path

from config import views

urlpatterns = [
    path(
        "sign-in/",
        login_not_required(auth.LoginView.as_view(template_name="sign_in.html", redirect_authenticated_user=True)),
        name="sign_in",
    ),
    path("sign-out/", auth.LogoutView.as_view(), name="sign_out"),
    path("status/", views.status, name="status"),
    path("status/banner/", views.banner, name="status_banner"),
    path("", include("annotate.urls")),
    path("", include("curation.urls")),
]
