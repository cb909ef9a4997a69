"""docker-compose.yml, the Dockerfile and docs/settings.md against what the application reads and runs."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands

from config.celery import app
from config.processes import programs
from curation.models import Run

ROOT = Path(__file__).resolve().parent.parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def variables_read() -> dict[str, bool]:
    """Names of the variables that settings.py reads, and whether each may also come as NAME_FILE."""
    calls = [node for node in ast.walk(ast.parse((ROOT / "config/settings.py").read_text())) if isinstance(node, ast.Call)]
    found = {}
    for call in calls:
        target = call.func
        if isinstance(target, ast.Attribute) and getattr(target.value, "id", "") == "env" and target.attr != "BadEnvironment":
            assert isinstance(call.args[0], ast.Constant)
            found[call.args[0].value] = target.attr == "secret"
    return found


def command_of(service: dict) -> list[str]:
    command = service.get("command", [])
    return shlex.split(command) if isinstance(command, str) else command


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


def test_every_variable_is_documented_and_every_documented_one_is_read():
    table = re.findall(r"^\| `([A-Z_]+)` \|.*?\| (\*secret\*)?", (ROOT / "docs/settings.md").read_text(), re.MULTILINE)
    assert {name: bool(secret) for name, secret in table} == variables_read()


@pytest.mark.parametrize("name", OURS)
def test_a_container_sets_only_variables_that_the_app_reads(name):
    read = variables_read()
    allowed = set(read) | {f"{variable}_FILE" for variable, secret in read.items() if secret}
    given = set(OURS[name]["environment"])
    assert given <= allowed
    # Without these a container would start servers of its own, or end every session at the next start.
    assert {"DATABASE_URL", "BROKER_URL", "SECRET_KEY_FILE", "CONCORD_HOME"} <= given


def test_the_addresses_name_services_of_the_file_and_their_database():
    environment = OURS["web"]["environment"]
    postgres = SERVICES["postgres"]["environment"]
    user, host, database = re.fullmatch(
        r"postgresql://(\w+):\$\{POSTGRES_PASSWORD\S*.*?\}@(\w+):5432/(\w+)", environment["DATABASE_URL"]
    ).groups()
    assert (user, database) == (postgres["POSTGRES_USER"], postgres["POSTGRES_DB"])
    assert host == "postgres"
    assert environment["BROKER_URL"].startswith("redis://valkey:6379")
    secret = Path(environment["SECRET_KEY_FILE"]).name
    assert all(secret in service["secrets"] for service in OURS.values())
    assert secret in COMPOSE["secrets"]


def test_every_command_exists():
    for name, service in OURS.items():
        command = command_of(service)
        if "manage.py" in command:
            assert option(command, "manage.py") in get_commands(), name
        if "celery" in command:
            assert option(command, "-A") == "config", name
    assert app.main == "concord"
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "config.wsgi:application" in dockerfile
    assert re.search(r"^USER concord$", dockerfile, re.MULTILINE)


def test_the_workers_serve_the_queues_that_runs_use_as_up_does():
    check = next(constraint for constraint in Run._meta.constraints if constraint.name == "run_queue_known")
    queues = set(dict(check.condition.children)["queue__in"])
    in_compose = [command_of(service) for service in OURS.values() if "-Q" in command_of(service)]
    in_up = [list(program.command) for program in programs(host="127.0.0.1", port=None, cpu_workers=2)]
    for commands in (in_compose, in_up):
        assert {option(command, "-Q") for command in commands} == queues
        gpu = next(command for command in commands if option(command, "-Q") == "gpu")
        assert (option(gpu, "--pool"), option(gpu, "--concurrency")) == ("solo", "1")


def test_everything_waits_for_healthy_servers_and_applied_migrations():
    for name in ("postgres", "valkey", "web", "worker-cpu"):
        assert SERVICES[name]["healthcheck"]["test"], name
    for name in ("web", "worker-cpu", "worker-gpu"):
        needs = {other: rule["condition"] for other, rule in SERVICES[name]["depends_on"].items()}
        assert needs == {"migrate": "service_completed_successfully", "postgres": "service_healthy", "valkey": "service_healthy"}
    assert SERVICES["migrate"]["restart"] == "no"


def test_images_are_pinned_and_data_lies_on_declared_volumes():
    for name in ("postgres", "valkey"):
        assert re.search(r":\d+\.\d+\.\d+-", SERVICES[name]["image"]), name
        assert SERVICES[name]["volumes"]
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in COMPOSE["volumes"]
    # Uploads are written by the site and read by the workers.
    assert len({tuple(service["volumes"]) for service in OURS.values()}) == 1
    overlay = yaml.safe_load((ROOT / "docker-compose.gpu.yml").read_text())
    assert set(overlay["services"]) <= set(SERVICES)
