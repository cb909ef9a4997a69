from django.urls import path

from curation.views import home, pairs, workspaces

DATASET = "w/<slug:workspace>/d/<slug:dataset>/"

urlpatterns = [
    path("", home.home, name="home"),
    path("w/<slug:workspace>/", workspaces.workspace, name="workspace"),
    path("w/<slug:workspace>/members/", workspaces.members, name="members"),
    path("w/<slug:workspace>/members/<int:member_id>/", workspaces.member_change, name="member_change"),
    path("w/<slug:workspace>/datasets/new/", workspaces.dataset_new, name="dataset_new"),
    path(DATASET + "pairs/", pairs.pairs, name="pairs"),
    path(DATASET + "pairs/<int:pair_id>/", pairs.pair, name="pair"),
    path(DATASET + "pairs/<int:pair_id>/decide/", pairs.pair_decide, name="pair_decide"),
]
