r"""Changes to the text of a whole answer, as the operator ordered them; pure.

| type | does |
| --- | --- |
| `trim` | cuts white space around the text |
| `wrap` | puts the text where `{text}` stands in `replacement` |
| `regex-replace` | replaces every match of `pattern` by `replacement` (`\1` is a group) |
| `extract` | leaves the text, and adds what `pattern` matches to the answer, as a list: `"gateway_extracted": {field: […]}` |

Only texts change: every other member of the answer keeps its value.
"""

from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any

import msgspec

from gateway.domain.call import Operation
from gateway.domain.patterns import compiled
from gateway.domain.policy import Transform

EXTRACTED = "gateway_extracted"
TRANSFORMED = frozenset({Operation.CHAT, Operation.MESSAGES, Operation.RESPONSES, Operation.COMPLETIONS})


def transform(operation: Operation, body: bytes, transforms: Sequence[Transform]) -> bytes:
    """Return the answer with its texts transformed, in the order given.

    Args:
        operation: One of TRANSFORMED; says where the texts are.
        body: As the client would get it.
        transforms: What is to be done.
    """
    document: Any = msgspec.json.decode(body)
    for holder, name in texts_of(operation, document):
        if isinstance(holder.get(name), str):
            for each in transforms:
                _apply(each, holder, name, document)
    return msgspec.json.encode(document)


def _apply(each: Transform, holder: MutableMapping[str, Any], name: str, document: MutableMapping[str, Any]) -> None:
    text: str = holder[name]
    if each.type == "trim":
        holder[name] = text.strip()
    elif each.type == "wrap":
        holder[name] = each.replacement.replace("{text}", text)
    elif each.type == "regex-replace":
        holder[name] = compiled(each.pattern).sub(each.replacement, text)
    else:
        pattern = compiled(each.pattern)
        found = [match.group(1 if pattern.groups else 0) for match in pattern.finditer(text)]
        document.setdefault(EXTRACTED, {}).setdefault(each.field, []).extend(found)


def texts_of(operation: Operation, document: Any) -> Iterator[tuple[MutableMapping[str, Any], str]]:
    """Find the places that hold output text: (object, member). The member may be null.

    Args:
        operation: One of TRANSFORMED.
        document: The answer, parsed.
    """
    if operation is Operation.CHAT:
        yield from ((choice["message"], "content") for choice in document["choices"] if choice.get("message"))
    elif operation is Operation.MESSAGES:
        yield from ((part, "text") for part in document["content"] if part.get("type") == "text")
    elif operation is Operation.RESPONSES:
        items = [item for item in document["output"] if item.get("type") == "message"]
        yield from ((part, "text") for item in items for part in item.get("content") or [] if part.get("type") == "output_text")
    else:
        yield from ((choice, "text") for choice in document["choices"])
