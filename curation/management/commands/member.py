"""Give a person a role in a workspace; makes both if need be."""

import getpass
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from curation import people
from curation.models import Role, User


class Command(BaseCommand):
    help = "Give a person a role in a workspace. Makes the person and the workspace if need be."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--role", choices=Role.values, default=Role.ANNOTATOR)
        parser.add_argument("--workspace", default=people.DEFAULT_WORKSPACE)
        parser.add_argument(
            "--password-stdin", action="store_true", help="read the password from standard input instead of asking"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        known = User.objects.filter(username=options["username"]).exists()
        password = None if known and not options["password_stdin"] else self.read_password(options["password_stdin"])
        people.add_member(
            people.get_or_create_workspace(options["workspace"]), options["username"], options["role"], password=password
        )
        self.stdout.write(f"{options['username']} is {options['role']} in {options['workspace']}.")

    def read_password(self, from_stdin: bool) -> str:
        password = input() if from_stdin else getpass.getpass("Password: ")
        try:
            validate_password(password)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        return password
