"""Pickles read as text is read: nothing is imported, looked up, called or built.

A pickle is a program for a small stack machine, and unpickling runs it. This reads the same operations, but where
the program would call something from a module it only notes down that it would: a `Made` with the name and the
arguments. What is in a checkpoint can then be told by looking at it.
"""

import mmap
import pickletools
import warnings
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, Any, cast

from raven_scan.trainer.foreign_checkpoint.code_in_pickles import is_code, is_code_call
from raven_scan.trainer.foreign_checkpoint.errors import BadCheckpointContentError, CodeInCheckpointError

# A checkpoint of the largest architecture with its optimiser takes a twentieth.
_LARGEST_OPERATION_COUNT = 3_000_000
_LONGEST_NAME = 100

# A tuple, a list, a number …; Made, Name and StoredElsewhere; None.
Node = Any


@dataclass(frozen=True, slots=True)
class Name:
    """Something that the pickle names by its module, such as `torch.FloatStorage`."""

    path: str


@dataclass(frozen=True, slots=True, eq=False)
class StoredElsewhere:
    """A reference to what lies beside the pickle: a tensor's memory."""

    identity: Node


@dataclass(slots=True, eq=False)
class Made:
    """What a call of `maker` would have made, had it been called.

    Attributes:
        maker: full name of what would be called.
        arguments: of the call.
        entries: what the pickle put into it by key.
        elements: what the pickle appended to it.
    """

    maker: str
    arguments: tuple[Node, ...]
    entries: dict[Node, Node] = field(default_factory=dict[Node, Node])
    elements: list[Node] = field(default_factory=list[Node])


@dataclass(frozen=True, slots=True, eq=False)
class Pickle:
    """A pickle's value, every name that it would have looked up, and every reference beyond itself."""

    value: Node
    names: frozenset[str]
    references: list[StoredElsewhere]


def make_printable(name: str) -> str:
    """A name from the file as it may stand in a sentence, a log and a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:_LONGEST_NAME])


def parse_pickle(stream: BytesIO | mmap.mmap) -> Pickle:
    """Read one pickle, of any protocol, and leave `stream` (memory: reading reserves none) right behind it.

    Raises:
        CodeInCheckpointError: it would run code.
        BadCheckpointContentError: it is none, is cut off, or is larger than any checkpoint's.
    """
    machine = _Machine()
    try:
        with warnings.catch_warnings():
            # pickletools decodes names as Python source, and damaged ones hold escapes that it warns of.
            warnings.simplefilter("ignore", DeprecationWarning)
            for number, (operation, argument, _) in enumerate(pickletools.genops(cast("IO[bytes]", stream))):
                machine.step(number, operation.name, argument)
        return Pickle(machine.pop(), frozenset(machine.names), machine.references)
    except BadCheckpointContentError:
        raise
    except (ValueError, IndexError, KeyError, OverflowError, EOFError) as error:
        raise BadCheckpointContentError("its pickle is damaged or cut off.") from error


_CONSTANTS: dict[str, Node] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *(
            "STRING",
            "BINSTRING",
            "SHORT_BINSTRING",
            "UNICODE",
            "BINUNICODE",
            "SHORT_BINUNICODE",
            "BINUNICODE8",
        ),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    }
)
_TUPLE_LENGTHS = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = frozenset({"PROTO", "FRAME", "STOP"})
# Others have no use in a checkpoint, and hashing a deeply nested tuple exhausts the stack.
_KEY_TYPES = (str, int, float, bytes, type(None))


class _Machine:
    """The stack, the marks and the memo of a pickle, holding nodes."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.references: list[StoredElsewhere] = []
        self._stack: list[Node] = []
        self._below: list[list[Node]] = []
        self._memo: dict[int, Node] = {}

    def pop(self) -> Node:
        return self._stack.pop()

    def step(self, number: int, operation: str, argument: Any) -> None:  # noqa: C901, PLR0912, PLR0915 - one case each
        if number > _LARGEST_OPERATION_COUNT:
            raise BadCheckpointContentError("its pickle has more operations than any checkpoint needs.")
        if operation in _LITERALS:
            self._stack.append(argument)
            return
        match operation:
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                self._stack.append(_CONSTANTS[operation])
            case "EMPTY_TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                items = [self.pop() for _ in range(_TUPLE_LENGTHS[operation])]
                self._stack.append(tuple(reversed(items)))
            case "TUPLE":
                self._push_over_mark(tuple)
            case "EMPTY_LIST" | "EMPTY_SET":
                self._stack.append([])
            case "LIST" | "FROZENSET":
                self._push_over_mark(list)
            case "EMPTY_DICT":
                self._stack.append({})
            case "DICT":
                items = self._pop_to_mark()
                self._stack.append({})
                self._put(items)
            case "MARK":
                self._below.append(self._stack)
                self._stack = []
            case "POP":
                if self._stack:
                    self.pop()
                else:
                    self._pop_to_mark()
            case "POP_MARK":
                self._pop_to_mark()
            case "DUP":
                self._stack.append(self._stack[-1])
            case "APPEND":
                self._append([self.pop()])
            case "APPENDS" | "ADDITEMS":
                self._append(self._pop_to_mark())
            case "SETITEM":
                value, key = self.pop(), self.pop()
                self._put([key, value])
            case "SETITEMS":
                self._put(self._pop_to_mark())
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = self._stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = self._stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                self._stack.append(self._memo[argument])
            case "PERSID":
                self._refer(argument)
            case "BINPERSID":
                self._refer(self.pop())
            case "GLOBAL":
                self._push_name(*argument.split(" ", 1))
            case "STACK_GLOBAL":
                name, module = self.pop(), self.pop()
                self._push_name(module, name)
            case "REDUCE" | "NEWOBJ":
                arguments, maker = self.pop(), self.pop()
                self._make(maker, arguments)
            case "NEWOBJ_EX":
                self.pop()  # the arguments by name
                arguments, maker = self.pop(), self.pop()
                self._make(maker, arguments)
            case "INST":
                arguments = tuple(self._pop_to_mark())
                self._push_name(*argument.split(" ", 1))
                self._make(self.pop(), arguments)
            case "OBJ":
                maker, *arguments = self._pop_to_mark()
                self._make(maker, tuple(arguments))
            case "BUILD":
                # The state of an object that was not made is of no use.
                self.pop()
                if not self._stack:
                    raise IndexError("a state without an object")
            case _:
                if operation not in _IGNORED:
                    raise BadCheckpointContentError(f"its pickle uses {operation}, which no checkpoint does.")

    def _pop_to_mark(self) -> list[Node]:
        items = self._stack
        self._stack = self._below.pop()
        return items

    def _push_over_mark(self, kind: type[tuple[Node, ...]] | type[list[Node]]) -> None:
        items = kind(self._pop_to_mark())
        self._stack.append(items)

    def _append(self, items: list[Node]) -> None:
        target = self._stack[-1]
        if isinstance(target, Made):
            target = target.elements
        if not isinstance(target, list):
            raise BadCheckpointContentError("its pickle appends to what is no list.")
        target.extend(items)

    def _put(self, items: list[Node]) -> None:
        target = self._stack[-1]
        if isinstance(target, Made):
            target = target.entries
        if not isinstance(target, dict) or len(items) % 2:
            raise BadCheckpointContentError("its pickle puts an entry into what is no dictionary.")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(key, _KEY_TYPES):
                target[key] = value

    def _refer(self, identity: Node) -> None:
        reference = StoredElsewhere(identity)
        self.references.append(reference)
        self._stack.append(reference)

    def _push_name(self, module: Node, name: Node) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise BadCheckpointContentError("its pickle names something by what is no text.")
        # Protocols up to 2, which PyTorch writes, use the names of Python 2.
        module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        path = f"{module}.{name}"
        if is_code(module, name):
            raise CodeInCheckpointError(f"it carries code: opening it would call {make_printable(path)}.")
        self.names.add(path)
        self._stack.append(Name(path))

    def _make(self, maker: Node, arguments: Node) -> None:
        path = maker.path if isinstance(maker, Name) else ""
        given = arguments if isinstance(arguments, tuple) else ()
        if is_code_call(path, given, [value.path for value in given if isinstance(value, Name)]):
            raise CodeInCheckpointError(
                f"it carries code: opening it would call {make_printable(path) or 'what a call returned'}."
            )
        self._stack.append(Made(path, given))
