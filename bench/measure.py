"""Measures alternatives side by side, and prints tables."""

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Final

ROUNDS: Final = 5


def cpu_seconds[T](work: Mapping[str, Callable[[], T]], rounds: int = ROUNDS) -> dict[str, float]:
    """The median CPU seconds of each alternative. They take turns, so that other load affects all of them equally."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, each in work.items():
            start = time.process_time()
            each()
            taken[name].append(time.process_time() - start)
    return {name: median(values) for name, values in taken.items()}


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table. The first column is aligned to the left, the others to the right."""
    cells = [list(columns), *([_text(value) for value in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    print(f"\n{title}")
    for row in cells:
        first, *others = (
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  " + "   ".join((first, *others)).rstrip(), flush=True)


def _text(value: object) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if value.is_integer() or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) < 0.1 else f"{value:.2f}"


def times(ratio: float) -> str:
    return f"{ratio:,.0f} x" if ratio >= 10 else f"{ratio:.1f} x"


def confirm(name: str, measured: float, expected: float, within: float = 0.0) -> None:
    """Raise AssertionError if a number of admin/counts.py, which estimates are made of, is not what is measured."""
    if abs(measured - expected) > within * expected:
        raise AssertionError(f"{name}: admin/counts.py says {expected}, measured are {measured}")
