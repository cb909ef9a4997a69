"""The Celery application. Tasks live in each layer's tasks.py."""

import os

from celery import Celery
from celery.signals import celeryd_after_setup

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("concord")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@celeryd_after_setup.connect
def connect_heartbeat(**kwargs: object) -> None:
    """A worker beats and sweeps (curation/workers.py); other programs that load this app do not even import it."""
    import curation.workers  # noqa: F401
