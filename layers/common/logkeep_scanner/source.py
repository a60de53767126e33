"""The part of scanner.c that is made from the formats: functions of their patterns, and words."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from logkeep_scanner import formats, timestamps
from logkeep_scanner.patterns import Atom, Code, First

_DIGITS: Final = frozenset(b"0123456789")
_CAPITALS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LETTERS: Final = _CAPITALS | frozenset(b"abcdefghijklmnopqrstuvwxyz")


def _call(function: str) -> str:
    return f"if (!(p = {function})) goto {{fail}};"


def _then(kind: str) -> Atom:
    return Atom(f"found->then = {kind}; found->rest = p;")


_ATOMS: Final = {
    "level": Atom(_call("read_level(found, p, end, 0)"), First(_LETTERS)),
    "LEVEL": Atom(_call("read_level(found, p, end, 1)"), First(_CAPITALS)),
    **{level.lower(): Atom(f"found->marks.level = {level};") for level in formats.LEVELS},
    "time": Atom(_call("read_time(reader, read_times, p, end, depth)"), First(_DIGITS | frozenset(b"JFMASONDTW"))),
    "klog": Atom(_call("read_time(reader, read_klog_times, p, end, depth)"), First(_DIGITS)),
    "priority": Atom(_call("read_priority(found, p, end)"), First(_DIGITS)),
    "out": Atom("found->marks.stream = 1;"),
    "err": Atom("found->marks.stream = 2;"),
    "part": Atom("found->marks.part = 1;"),
    "continues": Atom("found->continues = 1;"),
    "inner": _then("INNER"),
    "json": _then("JSON"),
    "logfmt": _then("LOGFMT"),
}
_LISTS: Final[Mapping[str, Iterable[str]]] = {
    "times": timestamps.TIMES.values(),
    "klog_times": timestamps.KLOG_TIMES.values(),
    "heads": (formats.HEAD,),
    "dated": [each.pattern for each in formats.DATED],
    "plain": [each.pattern for each in formats.PLAIN],
    "continuations": formats.CONTINUATIONS,
}
_KEYS: Final = {
    "LEVEL_KEY": formats.LEVEL_KEYS,
    "TIME_KEY": formats.TIME_KEYS,
    "NUMBER_KEY": formats.NUMBER_KEYS,
    "LINE_KEY": formats.LINE_KEYS,
}


def source(lists: Mapping[str, Iterable[str]] = _LISTS) -> str:
    """C for scanner.c: functions of the rules, `read_{name}` for each list of patterns, and the words."""
    code, atoms, readers = Code(), dict(_ATOMS), []
    for name, pattern in (timestamps.RULES | formats.RULES).items():
        function, first = code.function(pattern, atoms, timestamps.FIELDS)
        atoms[name] = Atom(_call(f"{function}(reader, p, end, depth)"), first)
    for name, patterns in lists.items():
        # Formats that look alike share a pattern.
        functions = [code.function(pattern, atoms, timestamps.FIELDS) for pattern in dict.fromkeys(patterns)]
        code.add(*_reader(name, functions))
        readers.append(f"static Place read_{name}(Reader *, Place, Place, int);")
    return "\n".join([*_words(), *readers, code.tables(), *code.lines, ""])


def _reader(name: str, functions: list[tuple[str, First]]) -> Iterator[str]:
    """A function that answers the end of the first match, or NULL."""
    by_functions: dict[tuple[str, ...], list[int]] = {}
    for byte in range(257):
        those = tuple(function for function, first in functions if first.holds(byte))
        by_functions.setdefault(those, []).append(byte)
    yield f"static Place read_{name}(Reader *reader, Place p, Place end, int depth) {{"
    yield "Found before = reader->found; Place after; (void)before, (void)after, (void)depth;"
    yield "switch (p < end ? *p : 256) {"
    for those, members in by_functions.items():
        yield " ".join(f"case {byte}:" for byte in members)
        for function in those:
            yield "memset(reader->size, 0, sizeof reader->size);"
            yield f"if ((after = {function}(reader, p, end, depth))) return after;"
            yield "reader->found = before;"
        yield "return NULL;"
    yield "}"
    yield "return NULL;"
    yield "}"


def _words() -> Iterator[str]:
    """Level words by their first letter, as a switch, and the keys of JSON and logfmt."""
    levels = sorted((word, level) for level, words in formats.WORDS.items() for word in words.split())
    yield "static const Word level_words[] = {"
    yield from (f'{{{len(word)}, {level}, "{word}"}},' for word, level in levels)
    yield "{0, 0, {0}}};"
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    initials = (sum(word < letter for word, _ in levels) for letter in alphabet)
    yield f"static const uint16_t level_initials[] = {{{','.join(map(str, initials))}}};"
    yield "static const Word keys[] = {"
    yield from (f'{{{len(key)}, {kind}, "{key}"}},' for kind, names in _KEYS.items() for key in names.split())
    yield "{0, 0, {0}}};"
