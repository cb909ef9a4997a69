"""The layers' arrows, the size budget and the torch-free web process, held by machine."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("models_runtime", "curation", "annotate", "config")  # each may import those before it
PURE = (
    "models_runtime/types.py",
    "models_runtime/parsers.py",
    "models_runtime/batching.py",
    "models_runtime/likelihood.py",
    "models_runtime/training/bradley_terry.py",
    "curation/types.py",
    "curation/filters.py",
    "curation/aggregation.py",
    "curation/agreement.py",
    "curation/dawid_skene.py",
    "curation/quality/base.py",
    "curation/quality/content.py",
    "curation/quality/judges.py",
    "curation/exporters.py",
    "curation/card.py",
    "curation/recipes.py",
    "curation/importers/reading.py",
    "curation/importers/shapes.py",
    "curation/importers/preference.py",
    "curation/importers/opinions.py",
    "curation/importers/messages.py",
    "curation/importers/fields.py",
    "curation/importers/faults.py",
    "curation/importers/parquet.py",
    "annotate/answers.py",
    "config/demo/tasks.py",
    "config/demo/generator.py",
)


def source_files() -> list[Path]:
    return [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py")) if "migrations" not in path.parts]


def imported_modules(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_layer_imports_only_layers_to_its_right(path):
    layer = path.relative_to(ROOT).parts[0]
    forbidden = LAYERS[LAYERS.index(layer) + 1 :]
    found = {name for name in imported_modules(path) if name.split(".")[0] in forbidden}
    assert not found, f"{path.relative_to(ROOT)} imports {found}"


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_imports_no_django(name):
    path = ROOT / name
    impure = {
        module for module in imported_modules(path) if module.split(".")[0] in ("django", "celery") or module == "curation.models"
    }
    assert not impure


def test_functions_and_files_stay_small():
    lengths, too_long = [], []
    for path in source_files():
        text = path.read_text()
        if text.count("\n") > 400:
            too_long.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                lengths.append(node.end_lineno - node.lineno + 1)
                if lengths[-1] > 80:
                    too_long.append(f"{path.relative_to(ROOT)}:{node.name}: {lengths[-1]} lines")
    assert not too_long
    assert sorted(lengths)[len(lengths) // 2] <= 12


def test_the_web_process_starts_without_torch():
    code = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
import config.wsgi, config.celery
from django.urls import get_resolver
get_resolver().url_patterns
heavy = {"torch", "transformers", "crowdkit", "datasets"} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]
