"""manage.py up: everything Concord needs on one machine, until Ctrl-C."""

import os
import signal
import threading
from argparse import ArgumentParser
from contextlib import suppress

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from config.processes import port_taken, tree, wait_until_answers
from config.services import ServicesFailed, ensure


class Command(BaseCommand):
    help = "Start database, broker, workers and the site in one process tree; Ctrl-C stops all of it."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--no-web", action="store_true", help="workers only")
        parser.add_argument("--cpu-workers", type=int, default=min(4, os.cpu_count() or 1), help="processes that take CPU work")

    def handle(self, *, host: str, port: int, no_web: bool, cpu_workers: int, **options: object) -> None:
        if not no_web and port_taken(host, port):
            raise CommandError(
                f"Port {port} of {host} is taken. Stop who listens there, or choose another: manage.py up --port {port + 1}"
            )
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: stop.set())
        try:
            with ensure():
                self.serve(host, None if no_web else port, cpu_workers, stop)
        except ServicesFailed as error:
            raise CommandError(str(error)) from error
        self.say("Stopped.")

    def serve(self, host: str, port: int | None, cpu_workers: int, stop: threading.Event) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        with tree(host=host, port=port, cpu_workers=cpu_workers, say=self.say) as running:
            if port is None:
                self.say("Workers are starting. Stop with Ctrl-C.")
            elif wait_until_answers(host, port, seconds=120, stop=stop):
                self.say(f"Concord answers at http://{host}:{port}/  Stop with Ctrl-C.")
            elif not stop.is_set():
                self.say("The site does not answer yet; see the lines of `web` above.")
            while running.thread.is_alive() and not stop.wait(1):
                continue
            self.say("Stopping.")

    def say(self, line: str) -> None:
        with suppress(OSError):  # `up | head`: the reader is gone
            self.stdout.write(line)
            self.stdout.flush()
