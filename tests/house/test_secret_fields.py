"""No value that holds a secret shows it: not in a log line, not in a traceback, not in an f-string."""

import importlib
import re
from collections.abc import Iterator

import msgspec
import pytest

from tests.house.sources import ROOT, modules

SECRET = re.compile(r"(?:^|_)(?:key|keys|secret|token|pepper|password|credential|connection|headers|front_id|door_id|webhook|servicebus)$")
# Structs whose fields are called so and hold none, with what they hold.
HARMLESS = {
    "gateway.routing.notices.Notice": "the name of a deployment or backend",
    "gateway.domain.call.Call": "headers that are passed on, none of them a credential",
    "gateway.domain.call.UpstreamRequest": "headers before the credential is added",
    "gateway.domain.call.Completion": "headers of an answer",
    "gateway.domain.call.Answer": "headers of an answer",
    "gateway.domain.management.Told": "headers of an answer",
    "gateway.captures.record.Captured": "headers of an allow-list, none of them a credential",
    "gateway.domain.lookups.TableLookup": "which row is looked up, with placeholders",
    "gateway.domain.lookups.FeatureLookup": "which entity is looked up, with placeholders",
    "gateway.domain.policy.When": "patterns of keys by their public parts",
    "gateway.providers.eventstream.EventMessage": "headers of an answer's event",
}
TEXT = "hush-hush-hush"


def structs() -> Iterator[type[msgspec.Struct]]:
    for path in modules("gateway"):
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
        for each in vars(module).values():
            if isinstance(each, type) and issubclass(each, msgspec.Struct) and each.__module__ == module.__name__:
                yield each


def name_of(kind: type[msgspec.Struct]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def may_hold(kind: type[msgspec.Struct]) -> bool:
    texts = {field.name for field in msgspec.structs.fields(kind) if any(word in str(field.type) for word in ("str", "bytes"))}
    return any(SECRET.search(name) for name in texts)


HOLDING = [kind for kind in structs() if may_hold(kind)]


@pytest.mark.parametrize("kind", [kind for kind in HOLDING if name_of(kind) not in HARMLESS], ids=name_of)
def test_a_value_with_a_secret_does_not_show_it(kind: type[msgspec.Struct]) -> None:
    shown = {True: {TEXT: TEXT}, False: TEXT}
    fields = [field.name for field in msgspec.structs.fields(kind)]
    value = kind(**{name: shown[name.endswith("headers")] if SECRET.search(name) else _Plain("plain") for name in fields})
    assert TEXT not in repr(value)


class _Plain(str):
    """A text that may stand for a member of an enumeration."""

    __slots__ = ()

    @property
    def value(self) -> str:
        return "plain"


def test_the_exempt_are_there() -> None:
    assert HARMLESS.keys() <= {name_of(kind) for kind in HOLDING}
