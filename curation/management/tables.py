"""Tables of plain text for a terminal."""

from collections.abc import Sequence


def shown(value: object) -> str:
    """A cell: a dash where there is nothing, figures to three decimals."""
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def aligned(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell, numbers to the right."""
    cells = [[shown(value) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[place]) for row in cells)]) for place, name in enumerate(columns)]
    right = [all(isinstance(row[place], int | float | None) for row in rows) for place in range(len(columns))]
    lines = [list(columns), *cells]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )
