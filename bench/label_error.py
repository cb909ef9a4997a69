"""Label error before and after curation, with few human labels: the demo on several seeds.

    .venv/bin/python bench/label_error.py [--seeds 1 2 3] [--pairs 600] [--json out.json]

Each seed makes other pairs, other planted noise and other mistakes of the simulated people and judges; all of them are
curated in one fresh home. "released before" is the error of the stored labels of those pairs that were released: the rest
of the gain comes from leaving pairs out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = ("seed", "before", "after", "ratio", "released before", "released", "people saw", "seconds")


def curated(home: Path, seed: int, pairs: int) -> dict[str, Any]:
    """demo.json of one seed, with the seconds the command took from start to end."""
    command = [sys.executable, "manage.py", "demo", "--no-serve", "--seed", str(seed), "--pairs", str(pairs)]
    started = time.monotonic()
    subprocess.run(command, cwd=ROOT, env=os.environ | {"CONCORD_HOME": str(home)}, check=True, stdout=subprocess.DEVNULL)
    return {**json.loads((home / "demo.json").read_text()), "wall_seconds": round(time.monotonic() - started, 1)}


def row(figures: dict[str, Any]) -> tuple[str, ...]:
    before, after, pairs = figures["label_error_before"], figures["label_error_after"], figures["pairs"]
    return (
        str(figures["seed"]),
        f"{before:.1%}",
        f"{after:.1%}",
        f"{after / before:.2f}",
        f"{figures['label_error_before_of_released']:.1%}",
        f"{figures['released'] / pairs:.1%}",
        f"{figures['pairs_judged_by_people'] / pairs:.1%}",
        f"{figures['wall_seconds']:.0f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--pairs", type=int, default=600)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="concord-bench-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL drops root's rights and must get in
        results = [curated(Path(folder), seed, options.pairs) for seed in options.seeds]
    lines = [COLUMNS, *map(row, results)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    for line in lines:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
