"""manage.py doctor: what is wrong with this installation, and how to mend it."""

import json
from argparse import ArgumentParser
from contextlib import ExitStack
from dataclasses import asdict

from django.core.management.base import BaseCommand
from django.db import DatabaseError

from config.health import Check, checks
from config.services import ServicesFailed, ensure, migrate_if_pending

MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


class Command(BaseCommand):
    help = "Check database, extension, broker, workers, queues, disk and models. Exit code 1 if anything fails."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="a list of {name, state, message, remedy}")

    def handle(self, *, json: bool, **options: object) -> None:
        found = examine()
        self.stdout.write(as_json(found) if json else as_text(found))
        if any(check.state == "fail" for check in found):
            raise SystemExit(1)


def examine() -> list[Check]:
    """All checks, with the embedded servers started first as any command would."""
    with ExitStack() as stack:
        found = []
        try:
            stack.enter_context(ensure())
            migrate_if_pending()
        except ServicesFailed as error:
            found.append(Check("embedded servers", "fail", str(error), "Mend this first; the checks below follow from it."))
        except DatabaseError as error:
            remedy = "Run manage.py migrate to see all of it."
            found.append(Check("embedded servers", "fail", f"The database could not be migrated: {error}", remedy))
        return found + checks()


def as_json(found: list[Check]) -> str:
    return json.dumps([asdict(check) for check in found], indent=2)


def as_text(found: list[Check]) -> str:
    lines = []
    for check in found:
        lines.append(f"{MARKS[check.state]}  {check.name}: {check.message}")
        if check.remedy:
            lines.append(f"      -> {check.remedy}")
    return "\n".join(lines)
