from django.urls import path

from curation.views import datasets, disagreements, home, imports, pairs, releases, runs, workspaces

DATASET = "w/<slug:workspace>/d/<slug:dataset>/"

urlpatterns = [
    path("", home.home, name="home"),
    path("w/<slug:workspace>/import/", imports.import_new, name="import_new"),
    path(DATASET + "imports/", imports.imports, name="imports"),
    path(DATASET + "imports/<int:import_id>/", imports.import_detail, name="import_detail"),
    path(DATASET + "imports/<int:import_id>/cancel/", imports.import_cancel, name="import_cancel"),
    path(DATASET + "imports/<int:import_id>/issues.<str:form>", imports.import_issues, name="import_issues"),
    path("w/<slug:workspace>/", workspaces.workspace, name="workspace"),
    path("w/<slug:workspace>/members/", workspaces.members, name="members"),
    path("w/<slug:workspace>/members/<int:member_id>/", workspaces.member_change, name="member_change"),
    path("w/<slug:workspace>/datasets/new/", workspaces.dataset_new, name="dataset_new"),
    path(DATASET, datasets.dataset, name="dataset"),
    path(DATASET + "settings/", datasets.dataset_settings, name="dataset_settings"),
    path(DATASET + "pairs/", pairs.pairs, name="pairs"),
    path(DATASET + "pairs/<int:pair_id>/", pairs.pair, name="pair"),
    path(DATASET + "pairs/<int:pair_id>/decide/", pairs.pair_decide, name="pair_decide"),
    path(DATASET + "disagreement/", disagreements.disagreement, name="disagreement"),
    path(DATASET + "disagreement/send/", disagreements.review_open, name="review_open"),
    path(DATASET + "runs/", runs.runs, name="runs"),
    path(DATASET + "runs/<int:run_id>/", runs.run, name="run"),
    path(DATASET + "runs/<int:run_id>/cancel/", runs.run_cancel, name="run_cancel"),
    path(DATASET + "runs/<int:run_id>/retry/", runs.run_retry, name="run_retry"),
    path(DATASET + "runs/<int:run_id>/finish/", runs.run_finish, name="run_finish"),
    path(DATASET + "recipes/start/", runs.recipe_start, name="recipe_start"),
    path(DATASET + "recipes/<int:recipe_id>/", runs.recipe, name="recipe"),
    path(DATASET + "recipes/<int:recipe_id>/cancel/", runs.recipe_cancel, name="recipe_cancel"),
    path(DATASET + "releases/", releases.release_list, name="releases"),
    path(DATASET + "releases/new/", releases.release_new, name="release_new"),
    path(DATASET + "releases/cut/", releases.release_cut, name="release_cut"),
    path(DATASET + "releases/<int:version>/", releases.release_page, name="release"),
    path(DATASET + "releases/<int:version>/manifest.json", releases.release_manifest, name="release_manifest"),
    path(DATASET + "releases/<int:version>/<slug:profile>.<slug:format>", releases.release_download, name="release_download"),
]
