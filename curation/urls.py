from django.urls import path

from curation.views import home

DATASET = "w/<slug:workspace>/d/<slug:dataset>/"

urlpatterns = [
    path("", home.home, name="home"),
]
