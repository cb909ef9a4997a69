"""manage.py demo: the whole loop on generated pairs (or on your own), then the site."""

import signal
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from config.demo import job, judges, report
from config.demo.generator import DemoPair
from config.processes import port_taken, tree, wait_until_answers
from config.services import ServicesFailed, ensure


class Command(BaseCommand):
    help = "Curate demo pairs whose truth is known, from import to release, then serve the site."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seed", type=int, default=1, help="other seeds make other pairs")
        parser.add_argument("--pairs", type=int, default=job.PAIRS, help="how many pairs to generate")
        parser.add_argument("--data", type=Path, help="a file or folder of your own pairs instead of generated ones")
        parser.add_argument("--no-serve", action="store_true", help="stop after the job")
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)

    def handle(
        self, *, seed: int, pairs: int, data: Path | None, no_serve: bool, host: str, port: int, **options: object
    ) -> None:
        if data and not data.exists():
            raise CommandError(f"{data} does not exist.")
        if not no_serve and port_taken(host, port):
            raise CommandError(f"Port {port} of {host} is taken: free it, or use --port.")
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.interrupt(stop))
        try:
            with ensure():
                call_command("migrate", interactive=False, verbosity=0)
                self.run(seed, [] if data else job.make_pairs(seed, pairs), data, None if no_serve else port, host, stop)
        except (ServicesFailed, job.DemoFailed) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped. Run it again to go on where it was.") from None

    def interrupt(self, stop: threading.Event) -> Callable[..., None]:
        def handler(*_: object) -> None:
            """The first signal ends the job or the serving; both end the process tree in order."""
            if not stop.is_set():
                stop.set()
                raise KeyboardInterrupt

        return handler

    def run(
        self, seed: int, pairs: list[DemoPair], data: Path | None, port: int | None, host: str, stop: threading.Event
    ) -> None:
        started = time.monotonic()
        with ExitStack() as stack:
            names = () if data else self.judges(stack, pairs)
            stack.enter_context(tree(host=host, port=port, cpu_workers=2, say=self.say))
            self.say(f"Curating {data or f'demo pairs, seed {seed}'}:")
            figures = job.own_job(data, self.say) if data else job.simulated_job(seed, names, self.say, pairs)
            path = job.write_result({**figures, "seconds": round(time.monotonic() - started, 1)})
            self.say(str(figures["pools"]) if data else report.table(figures))
            self.say(f"Done in {time.monotonic() - started:.0f} s; figures are in {path}.")
            if port is not None:
                self.serve(host, port, stop)

    def judges(self, stack: ExitStack, pairs: list[DemoPair]) -> tuple[str, ...]:
        """The simulated judges' names, with their server running; an operator's own server takes precedence."""
        if settings.JUDGE_URL:
            self.say(f"Judges are asked at {settings.JUDGE_URL}.")
            return judges.models_of(settings.JUDGE_URL)
        url = stack.enter_context(judges.serve(pairs))
        # The workers read the variable when they start; this process has read it already.
        stack.enter_context(judges.environment(url))
        settings.JUDGE_URL = url
        return tuple(judges.JUDGES)

    def serve(self, host: str, port: int, stop: threading.Event) -> None:
        if not wait_until_answers(host, port, seconds=60, stop=stop):
            raise CommandError("The site does not answer; see the lines of `web` above.")
        self.say(f"\nConcord answers at http://{host}:{port}/   Stop with Ctrl-C.")
        self.say(f"Sign in as curator, annotator, owner or viewer; the password is {job.PASSWORD}")
        try:
            while not stop.wait(60):
                pass
        except KeyboardInterrupt:
            self.say("Stopping.")

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
