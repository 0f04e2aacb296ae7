"""What one rendering of a Jinja2 prompt may cost. Everything that a template can do with a value is counted before it is done.

A step is a turn of a loop, a call, a filter, a test, an operator, a value that is written. Work is the size of what is read and made:
a text's characters, and WEIGHT for each member of a list or object, however often the same one is in it. So ten lists of which each
holds the one before twice weigh what their text would.
"""

from collections.abc import Mapping
from typing import Any, Never

from gateway.errors import PromptError

MAX_STEPS = 100_000
MAX_WORK = 10_000_000  # characters
MAX_OUTPUT = 200_000  # characters of one template's text
CALL = 10  # steps of a call
MAX_DEPTH = 32  # macros and recursive loops within each other
MAX_RANGE = 10_000
MAX_BITS = 128  # of an integer
WEIGHT = 16  # a list's member, in characters


class Lenient(dict[str, Any]):
    """An object of which a member that is not there is an empty text, not a fault."""


class Refused(Exception):
    """What a template did is not allowed; the message holds nothing of a value."""


class Budget:
    """What is left of one rendering's steps and work."""

    __slots__ = ("depth", "steps", "work")

    def __init__(self) -> None:
        self.steps = MAX_STEPS
        self.work = MAX_WORK
        self.depth = 0

    def step(self, count: int = 1) -> None:
        """Take steps; Refused where none are left."""
        self.steps -= count
        if self.steps < 0:
            raise Refused(f"takes more than {MAX_STEPS} steps")

    def spend(self, work: int) -> None:
        """Take work, in characters; Refused where none is left."""
        self.work -= work
        if self.work < 0:
            raise Refused(f"reads and makes more than {MAX_WORK} characters")

    def measure(self, *values: Any) -> int:
        """Spend what values weigh, members included, and return it; Refused for what is no plain data."""
        size, left = 0, self.work
        stack = list(values)
        while stack:
            each = stack.pop()
            kind = type(each)
            if kind is str:
                size += len(each)
            elif kind is list or kind is tuple:
                size += WEIGHT * (len(each) + 1)
            elif kind is dict or kind is Lenient:
                size += WEIGHT * (2 * len(each) + 1)
            else:
                size += WEIGHT
                check_leaf(each)
                continue
            if size > left:
                break
            if kind is list or kind is tuple:
                stack.extend(each)
            elif kind is not str:
                stack.extend(each)
                stack.extend(each.values())
        self.spend(size)
        return size


def check_leaf(value: Any) -> None:
    """Refuse a number that is too large, and what is neither plain data nor an undefined variable."""
    if type(value) is int:
        if value.bit_length() > MAX_BITS:
            raise Refused(f"makes an integer of more than {MAX_BITS} bits")
    elif value is not None and type(value) not in {bool, float} and not hasattr(type(value), "_fail_with_undefined_error"):
        raise Refused("uses a macro, a namespace or a loop where only data can stand")


def refuse(what: str) -> Never:
    """Raise PromptError for a template that is none; the caller names its place."""
    raise PromptError(what)


def stop(what: str) -> Never:
    """Raise Refused."""
    raise Refused(what)


class Data(dict[str, Any]):
    """The values of one rendering, with what it may cost: all of a version's templates share it.

    Args:
        values: Variables, `context` and `lookups`.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        found = values.get("lookups", {})
        lookups = {name: Lenient() if value is None else value for name, value in found.items()}
        super().__init__({**values, "context": Lenient(values.get("context", {})), "lookups": lookups})
        self.budget = Budget()
