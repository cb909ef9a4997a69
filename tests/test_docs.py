"""The documentation against the tree: nothing undocumented, nothing documented that is gone, no link that leads nowhere."""

import re
import tomllib

import pytest
from django.core.management import get_commands

from models_runtime.registry import BACKENDS
from tests.test_architecture import LAYERS, PURE, ROOT

DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS]
DECISIONS = sorted((ROOT / "docs/decisions").glob("*.md"))
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def section(text: str, heading: str) -> str:
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_every_command_is_documented_and_every_documented_one_exists():
    ours = {name for name, app in get_commands().items() if app in LAYERS}
    text = "".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"manage\.py ([a-z]+)", text))
    assert ours - named == set()
    assert named - set(get_commands()) == set()


def test_every_backend_has_its_row():
    table = section((ROOT / "docs/add-a-backend.md").read_text(), "What is there")
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(BACKENDS)


def test_decisions_are_numbered_in_order_as_their_headings_say():
    numbers = [int(path.name[:4]) for path in DECISIONS]
    assert numbers == list(range(1, len(DECISIONS) + 1))
    assert [path.read_text().split(".")[0] for path in DECISIONS] == [f"# {number}" for number in numbers]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_file_that_a_page_names_is_there(page):
    text = page.read_text()
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []
    folders = "|".join((*LAYERS, "docs", "tests", "templates", "static", "bench"))
    named = re.findall(rf"`((?:{folders})/[\w./-]+)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_docstrings_name_only_pages_that_exist():
    sources = [path for layer in (*LAYERS, "tests", "bench") for path in (ROOT / layer).rglob("*.py")]
    named = {(path.name, name) for path in sources for name in re.findall(r"\bdocs/(?:decisions/)?[\w-]+\.md", path.read_text())}
    assert {(where, name) for where, name in named if not (ROOT / name).exists()} == set()


def test_the_pure_modules_are_those_that_the_architecture_lists_and_the_type_checker_reads():
    part = section(ARCHITECTURE, "Pure modules")
    assert set(re.findall(r"`([\w/]+\.py)`", part)) == {name for name in PURE if not name.startswith("models_runtime/")}
    checked = [ROOT / name for name in PROJECT["tool"]["mypy"]["files"]]
    assert [name for name in PURE if not any((ROOT / name).is_relative_to(path) for path in checked)] == []


def test_every_module_of_the_curation_layer_has_its_place_in_the_architecture():
    part = section(ARCHITECTURE, "Where things are in `curation/`")
    flat = {path.stem for path in (ROOT / "curation").glob("*.py")} - {"__init__", "apps", "urls"}
    packages = {path.parent.name for path in (ROOT / "curation").glob("*/__init__.py")} - {"migrations"}
    rows = [line for line in part.splitlines() if line.startswith("|")]
    named = re.findall(r"`(\w+)(?:\.py|/)`", "".join(rows))
    assert sorted(named) == sorted(flat | packages)


@pytest.mark.parametrize(("start", "group"), [("# Dependencies", ""), ("Extra `ml`", "ml"), ("Extra `dev`", "dev")])
def test_dependencies_are_those_that_are_installed(start, group):
    parts = re.split(r"(?m)^(?=Extra `)", (ROOT / "docs/dependencies.md").read_text())
    [part] = [part for part in parts if part.startswith(start)]
    cells = [line.split("|")[1] for line in part.splitlines() if re.match(r"\| (?!package)", line)]
    named = {normal(name) for cell in cells for name in re.sub(r"\(.*?\)", "", cell).split(",")}
    project = PROJECT["project"]
    pinned = project["optional-dependencies"][group] if group else project["dependencies"]
    assert named == {normal(re.split(r"[=\[;]", each)[0]) for each in pinned}


def normal(package: str) -> str:
    """As package indexes compare names; "torch 2.13.0" is torch."""
    return re.sub(r"[-_.]+", "-", package.split()[0]).lower()
