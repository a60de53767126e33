"""Compiles patterns to functions in C.

A pattern is written as a regular expression and read as a parsing expression (B. Ford, "Parsing Expression Grammars",
2004): a repetition takes as much as it can and gives nothing back, and the first alternative that matches counts, so
`a?a` never matches. It may hold literals, `\\d`, `\\w`, `\\s`, sets, groups, `?`, `*`, `+`, `{2,5}`, `$`, `(?=…)`,
`(?!…)`, `(?<=…)`, the fields `(?P<y>…)` of a timestamp, and atoms such as `<level>`. A literal `<` is written `\\<`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_ANY: Final = frozenset(range(256))
_CLASSES: Final = {
    "d": frozenset(b"0123456789"),
    "w": frozenset(b"0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    "s": frozenset(b" \t\n\r\f\v"),
}
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_UNROLLED: Final = 4  # bytes of one set that are tested without a loop
_FEW: Final = 3  # alternatives that are tried one after the other


class First(NamedTuple):
    """The bytes of which the next must be one, unless a part of a pattern `is_open`: it may match whatever follows."""

    bytes: frozenset[int]
    is_open: bool = False

    def holds(self, byte: int) -> bool:
        """Whether a match may begin with `byte` (256: at the end of the line)."""
        return self.is_open or byte in self.bytes


OPEN: Final = First(frozenset(), is_open=True)


class Atom(NamedTuple):
    """What `<name>` does: C that moves `p`, or goes to `{fail}`."""

    code: str
    first: First = OPEN


_Emit = Callable[["Code", str], None]


@dataclass(frozen=True, slots=True)
class _Node:
    first: First
    emit: _Emit  # where it goes if it fails is the second argument
    members: frozenset[int] | None = None  # of a single byte
    width: int | None = None  # bytes that it reads, if always as many
    has_atoms: bool = False


@dataclass(slots=True)
class Code:
    """Functions in C, one for each pattern, and the sets of bytes that they share."""

    lines: list[str] = field(default_factory=list)
    sets: dict[frozenset[int], int] = field(default_factory=dict)
    _names: int = 0

    def add(self, *lines: str) -> None:
        self.lines += lines

    def name(self, kind: str) -> str:
        """A new name of a label or a variable."""
        self._names += 1
        return f"{kind}{self._names}"

    def test(self, members: frozenset[int], byte: str) -> str:
        """Whether a byte is in a set."""
        ranges = _ranges(members)
        if len(ranges) == 1:
            low, high = ranges[0]
            return f"{byte} == {low}" if low == high else f"(uint8_t)({byte} - {low}) <= {high - low}"
        number = self.sets.setdefault(members, len(self.sets))
        return f"(sets[{number // 8}][{byte}] & {1 << number % 8})"

    def function(self, pattern: str, atoms: Mapping[str, Atom], fields: Iterable[str] = ()) -> tuple[str, First]:
        """Add a pattern's function. Return its name, and how a match begins. Raises ValueError if it is no pattern."""
        node = _Parser(pattern, atoms, tuple(fields)).parse()
        name = self.name("match")
        self.add(f"/* {pattern.replace('*/', '* /').replace('/*', '/ *')} */")
        self.add(f"static Place {name}(Reader *reader, Place p, Place end, int depth) {{")
        self.add("Found *const found = &reader->found;", "(void)found, (void)depth;")
        node.emit(self, "fail")
        self.add("return p;", "fail:", "return NULL;", "}")
        return name, node.first

    def tables(self) -> str:
        """The sets: by eight of them and byte, a bit each."""
        rows = [bytearray(256) for _ in range(len(self.sets) // 8 + 1)]
        for members, number in self.sets.items():
            for byte in members:
                rows[number // 8][byte] |= 1 << number % 8
        body = ",\n".join("{" + ",".join(map(str, row)) + "}" for row in rows)
        return f"static const uint8_t sets[][256] = {{\n{body}\n}};\n"


def _ranges(members: frozenset[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for byte in sorted(members):
        if found and found[-1][1] == byte - 1:
            found[-1] = found[-1][0], byte
        else:
            found.append((byte, byte))
    return found


class _Parser:
    """Reads one pattern from left to right."""

    def __init__(self, pattern: str, atoms: Mapping[str, Atom], fields: tuple[str, ...]) -> None:
        self._rest = pattern
        self._atoms = atoms
        self._fields = fields

    def parse(self) -> _Node:
        node = self._alternatives()
        if self._rest:
            raise ValueError(f"unexpected {self._rest!r}")
        return node

    def _take(self, text: str) -> bool:
        if not self._rest.startswith(text):
            return False
        self._rest = self._rest[len(text) :]
        return True

    def _match(self, pattern: str) -> re.Match[str] | None:
        match = re.match(pattern, self._rest, re.S)
        if match:
            self._rest = self._rest[match.end() :]
        return match

    def _alternatives(self) -> _Node:
        nodes = [self._sequence()]
        while self._take("|"):
            nodes.append(self._sequence())
        return _choice(nodes)

    def _sequence(self) -> _Node:
        nodes = []
        while self._rest and self._rest[0] not in "|)":
            nodes.append(self._repeated(self._one()))
        return _sequence(nodes)

    def _repeated(self, node: _Node) -> _Node:
        if match := self._match(r"\{(\d+)(,?)(\d*)\}"):
            least = int(match[1])
            return _repeat(node, least, int(match[3]) if match[3] else None if match[2] else least)
        for mark, least, most in (("?", 0, 1), ("*", 0, None), ("+", 1, None)):
            if self._take(mark):
                return _repeat(node, least, most)
        return node

    def _one(self) -> _Node:
        for opening, make in (("(?:", None), ("(?=", _ahead), ("(?!", _not_ahead), ("(?<=", _behind)):
            if self._take(opening):
                node = self._group()
                return make(node) if make else node
        if match := self._match(r"\(\?P<(\w+)>"):
            return _field(self._fields.index(match[1]), self._group())
        if match := self._match(r"<(\w+)>"):
            return _atom(self._atoms[match[1]])
        if self._take("$"):
            return _Node(OPEN, lambda code, fail: code.add(f"if (p != end) goto {fail};"), width=0)
        if self._take("["):
            return _single(self._set())
        if self._rest[0] in "(?*+{<.":
            raise ValueError(f"{self._rest[0]!r} must be escaped")
        return _single(self._member())

    def _group(self) -> _Node:
        node = self._alternatives()
        if not self._take(")"):
            raise ValueError("a group is not closed")
        return node

    def _set(self) -> frozenset[int]:
        is_negative = self._take("^")
        members: frozenset[int] = frozenset()
        while not self._take("]"):
            low = self._member()
            if len(low) == 1 and self._rest[:1] == "-" and self._rest[1:2] != "]":
                self._take("-")
                members |= frozenset(range(min(low), min(self._member()) + 1))
            else:
                members |= low
        return _ANY - members if is_negative else members

    def _member(self) -> frozenset[int]:
        match = self._match(r"([^\\])|\\(.)")
        if match is None:
            raise ValueError("the pattern ends early")
        if match[1]:
            return frozenset(match[1].encode())
        if match[2] in _CLASSES:
            return _CLASSES[match[2]]
        if match[2].lower() in _CLASSES:
            return _ANY - _CLASSES[match[2].lower()]
        return frozenset(_ESCAPES.get(match[2], match[2]).encode())


def _single(members: frozenset[int]) -> _Node:
    def emit(code: Code, fail: str) -> None:
        code.add(f"if (p == end || !({code.test(members, '*p')})) goto {fail};", "p++;")

    return _Node(First(members), emit, members, 1)


def _atom(atom: Atom) -> _Node:
    def emit(code: Code, fail: str) -> None:
        code.add(atom.code.replace("{fail}", fail))

    return _Node(atom.first, emit, has_atoms=True)


def _field(number: int, node: _Node) -> _Node:
    def emit(code: Code, fail: str) -> None:
        code.add(f"reader->begin[{number}] = p;")
        node.emit(code, fail)
        code.add(f"reader->size[{number}] = p - reader->begin[{number}];")

    return _Node(node.first, emit, width=node.width, has_atoms=node.has_atoms)


def _sequence(nodes: list[_Node]) -> _Node:
    if len(nodes) == 1:
        return nodes[0]
    begins: frozenset[int] = frozenset()
    for node in nodes:
        begins |= node.first.bytes
        if not node.first.is_open:
            break
    is_open = all(node.first.is_open for node in nodes)
    widths = [node.width for node in nodes]

    def emit(code: Code, fail: str) -> None:
        for node in nodes:
            node.emit(code, fail)

    width = None if None in widths else sum(width or 0 for width in widths)
    return _Node(First(begins, is_open), emit, width=width, has_atoms=any(node.has_atoms for node in nodes))


def _choice(nodes: list[_Node]) -> _Node:
    if len(nodes) == 1:
        return nodes[0]
    singles = [node.members for node in nodes if node.members is not None]
    if len(singles) == len(nodes):
        return _single(frozenset[int]().union(*singles))
    first = First(
        frozenset[int]().union(*(node.first.bytes for node in nodes)), any(node.first.is_open for node in nodes)
    )
    has_atoms = any(node.has_atoms for node in nodes)

    def emit(code: Code, fail: str) -> None:
        done = code.name("done")
        save, restore = _saved(code, has_atoms=has_atoms)
        code.add("{", save)
        if len(nodes) > _FEW and _are_apart(nodes):
            _emit_switch(code, nodes, restore, done, fail)
        else:
            _emit_chain(code, nodes, restore, done, fail)
        code.add("}", f"{done}:;")

    widths = {node.width for node in nodes}
    return _Node(first, emit, width=widths.pop() if len(widths) == 1 else None, has_atoms=has_atoms)


def _saved(code: Code, *, has_atoms: bool) -> tuple[str, str]:
    """C that keeps the place and what was found, and C that goes back to it."""
    place, marks = code.name("at"), code.name("marks")
    if not has_atoms:
        return f"Place {place} = p; (void){place};", f"p = {place};"
    kept = f"Place {place} = p; Marks {marks} = found->marks; (void){place}, (void){marks};"
    return kept, f"p = {place}, found->marks = {marks};"


def _are_apart(nodes: list[_Node]) -> bool:
    """Whether alternatives begin with different bytes, most of them."""
    sizes = [sum(node.first.holds(byte) for node in nodes) for byte in range(256)]
    return not any(node.first.is_open for node in nodes) and max(sizes) <= 2 + len(nodes) // 4


def _emit_chain(code: Code, nodes: list[_Node], restore: str, done: str, fail: str) -> None:
    for node in nodes[:-1]:
        following = code.name("next")
        if not node.first.is_open:
            code.add(f"if (p == end || !({code.test(node.first.bytes, '*p')})) goto {following};")
        node.emit(code, following)
        code.add(f"goto {done};", f"{following}: {restore}")
    nodes[-1].emit(code, fail)


def _emit_switch(code: Code, nodes: list[_Node], restore: str, done: str, fail: str) -> None:
    by_nodes: dict[tuple[int, ...], list[int]] = {}
    for byte in range(256):
        those = tuple(number for number, node in enumerate(nodes) if node.first.holds(byte))
        if those:
            by_nodes.setdefault(those, []).append(byte)
    code.add(f"if (p == end) goto {fail};", "switch (*p) {")
    for those, members in by_nodes.items():
        code.add(" ".join(f"case {byte}:" for byte in members) + " {")
        _emit_chain(code, [nodes[number] for number in those], restore, done, fail)
        code.add(f"goto {done};", "}")
    code.add(f"default: goto {fail};", "}")


def _repeat(node: _Node, least: int, most: int | None) -> _Node:
    first = First(node.first.bytes, node.first.is_open or not least)
    width = node.width * least if node.width is not None and least == most else None
    members = node.members

    def emit_set(code: Code, fail: str) -> None:
        assert members is not None  # noqa: S101 - chosen below
        if least == most and least <= _UNROLLED:
            tests = "".join(f" || !({code.test(members, f'p[{index}]')})" for index in range(least))
            code.add(f"if (end - p < {least}{tests}) goto {fail};", f"p += {least};")
            return
        start, stop = code.name("start"), code.name("stop")
        code.add(
            "{", f"Place {start} = p, {stop} = {'end' if most is None else f'end - p > {most} ? p + {most} : end'};"
        )
        code.add(f"while (p < {stop} && {code.test(members, '*p')}) p++;", f"(void){start};")
        if least:
            code.add(f"if (p - {start} < {least}) goto {fail};")
        code.add("}")

    def emit_any(code: Code, fail: str) -> None:
        count, stop = code.name("count"), code.name("stop")
        save, restore = _saved(code, has_atoms=node.has_atoms)
        place = save.split()[1]
        condition = "" if most is None else f"{count} < {most}"
        code.add(f"for (int {count} = 0; {condition}; {count}++) {{", save, f"(void){count};")
        node.emit(code, stop)
        # A round that reads nothing would go on for ever.
        code.add(f"if (p == {place}) break;", "continue;")
        code.add(f"{stop}: {restore}", *([f"if ({count} < {least}) goto {fail};"] if least else []), "break;", "}")

    if members is not None:
        return _Node(first, emit_set, width=width)
    return _Node(first, emit_any, width=width, has_atoms=node.has_atoms)


def _ahead(node: _Node) -> _Node:
    def emit(code: Code, fail: str) -> None:
        place = code.name("at")
        code.add("{", f"Place {place} = p;")
        node.emit(code, fail)
        code.add(f"p = {place};", "}")

    return _Node(node.first, emit, width=0, has_atoms=node.has_atoms)


def _not_ahead(node: _Node) -> _Node:
    def emit(code: Code, fail: str) -> None:
        following = code.name("next")
        save, restore = _saved(code, has_atoms=node.has_atoms)
        code.add("{", save)
        node.emit(code, following)
        code.add(f"goto {fail};", f"{following}: {restore}", "}")

    return _Node(OPEN, emit, width=0)


def _behind(node: _Node) -> _Node:
    if node.width is None:
        raise ValueError("what is looked for behind must be of one width")

    def emit(code: Code, fail: str) -> None:
        code.add(f"if (p - reader->line < {node.width}) goto {fail};", f"p -= {node.width};")
        node.emit(code, fail)

    return _Node(OPEN, emit, width=0)
