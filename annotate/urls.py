from django.urls import path

from annotate import pages, views

DATASET = "w/<slug:workspace>/d/<slug:dataset>/"

urlpatterns = [
    path(DATASET + "judge/", views.judge, name="judge"),
    path(DATASET + "judge/submit/", views.judge_submit, name="judge_submit"),
    path(DATASET + "judge/skip/", views.judge_skip, name="judge_skip"),
    path(DATASET + "judge/undo/", views.judge_undo, name="judge_undo"),
    path(DATASET + "judge/draft/", views.judge_draft, name="judge_draft"),
    path(DATASET + "judge/renew/", views.judge_renew, name="judge_renew"),
    path(DATASET + "guideline/", pages.guideline, name="guideline"),
    path(DATASET + "guideline/seen/", pages.guideline_seen, name="guideline_seen"),
    path(DATASET + "my-work/", pages.my_work, name="my_work"),
    path(DATASET + "my-work/<int:judgment_id>/", pages.my_answer, name="my_answer"),
]
