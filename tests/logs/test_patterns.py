"""Patterns in C against `re`, in which a repetition that gives nothing back is written `(?>…)`."""

import ctypes
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from logkeep_scanner.__main__ import compile_c
from logkeep_scanner.patterns import Code

_SETS = ["a", "b", "c", "[ab]", "[^a]", "[a-c]", r"\d", r"\w", r"\s", "[^\\s\\[]", r"\.", "1"]
_TEXTS = b"aabbcc1. [_"
_HEAD = """
#include <stddef.h>
#include <stdint.h>
typedef const uint8_t *Place;
typedef struct { int level; } Marks;
typedef struct { Marks marks; } Found;
typedef struct { Place line; Found found; Place begin[1]; int size[1]; } Reader;
"""


def pattern(rng: random.Random, depth: int) -> tuple[str, str]:
    """A random pattern, and what `re` reads as it does."""
    if depth == 0 or rng.random() < 0.4:
        one = rng.choice(_SETS)
        count = rng.choice(["", "", "", "?", "*", "+", "{2}", "{1,3}", "{0,2}", "{2,}"])
        return one + count, one + count + ("+" if count else "")
    kind = rng.choice(["sequence", "sequence", "choice", "choice", "ahead", "not", "repeat", "behind", "end"])
    if kind == "end":
        one, its = pattern(rng, depth - 1)
        return one + "$", its + r"\\Z".replace("\\\\", "\\")
    if kind == "behind":
        one = "".join(rng.choices(_SETS, k=rng.randint(1, 3)))
        return f"(?<={one})", f"(?<={one})"
    parts = [pattern(rng, depth - 1) for _ in range(rng.randint(2, 5 if kind == "choice" else 3))]
    if kind == "sequence":
        return "".join(mine for mine, _ in parts), "".join(its for _, its in parts)
    if kind == "choice":
        return f"(?:{'|'.join(mine for mine, _ in parts)})", f"(?>{'|'.join(its for _, its in parts)})"
    mine, its = parts[0]
    if kind == "repeat":
        count = rng.choice(["?", "*", "{1,3}", "{2}"])
        return f"(?:{mine}){count}", f"(?:(?>{its})){count}+"
    sign = "=" if kind == "ahead" else "!"
    return f"(?{sign}{mine})", f"(?{sign}{its})"


def compiled(patterns: list[str], folder: Path) -> Callable[[int, bytes], int | None]:
    """A function that answers where a pattern's match ends."""
    code = Code()
    names = [code.function(each, {})[0] for each in patterns]
    table = f"typedef Place Match(Reader *, Place, Place, int);\nstatic Match *all[] = {{{', '.join(names)}}};"
    entry = """
    int64_t match(int number, Place text, int64_t size) {
        Reader reader = {.line = text};
        Place end = all[number](&reader, text, text + size, 0);
        return end ? end - text : -1;
    }"""
    source = folder / "patterns.c"
    source.write_text("\n".join([_HEAD, code.tables(), *code.lines, table, entry]))
    library = folder / "patterns.so"
    compile_c(source, library)
    match = ctypes.CDLL(str(library)).match
    match.restype, match.argtypes = ctypes.c_int64, (ctypes.c_int, ctypes.c_char_p, ctypes.c_int64)
    return lambda number, text: None if (end := match(number, text, len(text))) < 0 else end


def test_a_pattern_matches_what_re_matches_without_giving_back(tmp_path: Path):
    rng = random.Random(20261128)
    pairs = [pattern(rng, 4) for _ in range(300)]
    match = compiled([mine for mine, _ in pairs], tmp_path)
    matched = 0
    for number, (mine, its) in enumerate(pairs):
        expected = re.compile(its.encode())
        for _ in range(60):
            text = bytes(rng.choices(_TEXTS, k=rng.randint(0, 9)))
            found = expected.match(text)
            assert match(number, text) == (found.end() if found else None), (mine, its, text)
            matched += found is not None
    assert matched > 2000


@pytest.mark.parametrize(
    "wrong", ["(?:a", "a)", "a**", "*", "(a)", "<nothing>", "(?P<x>a)", "[a", "a.b", "{", "(?<=a*)", "\\", "a{1"]
)
def test_what_is_no_pattern_is_refused(wrong: str):
    with pytest.raises((ValueError, KeyError)):
        Code().function(wrong, {})
