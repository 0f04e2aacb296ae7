"""A version and its variables become messages. Pure, and the same every time: nothing of a value is ever read as a template.

Templates are the texts of messages; of parts, `text` and `image_url.url`. A message with `when` is there only where each context
variable that it names matches one of its globs (case counts; a variable that is not there is empty). A message that renders empty
stays: whether it is there is said by `when` alone. What is made of a version is kept with its hash, and compiled once. Jinja2 is
loaded when the first shared prompt asks for it (sandboxed.py): tenants' strict templates never do.
"""

import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.domain.prompts import PromptMessage, PromptText, PromptVersion, Rendered
from gateway.errors import PromptError
from gateway.prompts import strict
from gateway.prompts.strict import Piece, Place
from gateway.prompts.variables import RESERVED, Inputs, checked, missing_variable

if TYPE_CHECKING:
    from gateway.prompts.sandboxed import Sandboxed

MAX_RENDERED_CHARACTERS = 2_000_000  # of a version's texts together
REMEMBERED = 512  # versions made ready

type Template = tuple[Piece, ...] | Sandboxed
type Values = Mapping[str, Any]


class _Message(msgspec.Struct, frozen=True):
    """A message made ready: `content` is a template, or parts with templates in the place of texts."""

    role: str
    content: Any
    when: tuple[tuple[str, Callable[[str], object]], ...]
    after: bool


class _Ready(msgspec.Struct, frozen=True):
    version: PromptVersion
    messages: tuple[_Message, ...]
    needed: frozenset[str]
    inputs: Inputs | None


def check(text: PromptText) -> None:
    """Refuse templates that cannot be rendered; PromptError says which (`messages[1].content`) and why."""
    _needed(text)


def variables_of(text: PromptText) -> frozenset[str]:
    """Return the names that callers must give, partials' among them."""
    return _needed(text)


def partials_of(text: PromptText) -> frozenset[str]:
    """Return the references of what the templates include, as written: `name` or `name@3`."""
    if text.template == "strict":
        return frozenset().union(*(strict.partials_in(template) for _, template in _templates(text)))
    from gateway.prompts import sandboxed  # noqa: PLC0415 - loads jinja2

    return frozenset().union(*(_placed(place, sandboxed.partials_in, template) for place, template in _templates(text)))


def render(
    version: PromptVersion, variables: Values, context: Mapping[str, str], lookups: Values, *, param: str = "prompt.variables"
) -> Rendered:
    """Return a version's messages.

    Args:
        version: Whose templates `check` accepted.
        variables: The call's.
        context: What the gateway knows of the call.
        lookups: What was looked up, by name.
        param: What stands before a variable's name in the request.

    Raises:
        PromptError: A variable is missing, too many or wrong (`param` names it), or too much would be rendered.
    """
    ready = _ready(version)
    values: Values = {**checked(variables, ready.needed, ready.inputs, param), "context": context, "lookups": lookups}
    if version.template != "strict":
        from gateway.prompts.sandboxed import Data  # noqa: PLC0415 - loads jinja2

        values = Data(values)
    before: list[Mapping[str, Any]] = []
    after: list[Mapping[str, Any]] = []
    left = MAX_RENDERED_CHARACTERS
    for message in ready.messages:
        if all(matches(context.get(name, "")) for name, matches in message.when):
            content, used = _filled(message.content, values, param)
            if (left := left - used) < 0:
                raise PromptError(f"'{param}' make the prompt longer than {MAX_RENDERED_CHARACTERS} characters", param=param)
            (after if message.after else before).append({"role": message.role, "content": content})
    return Rendered(tuple(before), tuple(after))


_kept: dict[tuple[str, str, int], _Ready] = {}


def _ready(version: PromptVersion) -> _Ready:
    key = (version.tenant, version.name, version.version)
    ready = _kept.get(key)
    if ready is None or (ready.version is not version and ready.version != version):
        _kept.pop(key, None)
        inputs = Inputs(version.input_schema) if version.input_schema is not None else None
        ready = _kept[key] = _Ready(version, tuple(_made(version)), _needed(version), inputs)
        if len(_kept) > REMEMBERED:
            del _kept[next(iter(_kept))]
    return ready


def _made(text: PromptText) -> Iterator[_Message]:
    after = False
    for message in text.messages:
        if message.placeholder:
            after = True
            continue
        content = message.content
        made = _template(text, content) if isinstance(content, str) else [_made_part(text, part) for part in content]
        yield _Message(message.role, made, tuple(_conditions(message)), after)


def _made_part(text: PromptText, part: Mapping[str, Any]) -> Mapping[str, Any]:
    if part.get("type") == "text":
        return {**part, "text": _template(text, part["text"])}
    image = part.get("image_url")
    if part.get("type") == "image_url" and isinstance(image, Mapping) and isinstance(image.get("url"), str):
        return {**part, "image_url": {**image, "url": _template(text, image["url"])}}
    return part


def _conditions(message: PromptMessage) -> Iterator[tuple[str, Callable[[str], object]]]:
    for name, globs in message.when.items():
        each = (globs,) if isinstance(globs, str) else globs
        yield name, re.compile("|".join(fnmatch.translate(glob) for glob in each)).match


def _template(text: PromptText, template: str) -> Template:
    if text.template == "strict":
        return strict.compiled(strict.expanded(template, text.partials))
    from gateway.prompts import sandboxed  # noqa: PLC0415 - loads jinja2

    return sandboxed.compiled(text, template)


def _placed[T](place: str, do: Callable[..., T], *args: Any) -> T:
    """Return what is made of a template; a refusal names its place."""
    try:
        return do(*args)
    except PromptError as exc:
        raise PromptError(f"'{place}' {exc.message}", param=place) from exc


def _templates(text: PromptText) -> Iterator[tuple[str, str]]:
    """Yield where a template stands, and the template."""
    for index, message in enumerate(text.messages):
        place = f"messages[{index}].content"
        if isinstance(message.content, str):
            yield place, message.content
            continue
        for number, part in enumerate(message.content):
            image = part.get("image_url")
            if part.get("type") == "text" and isinstance(part.get("text"), str):
                yield f"{place}[{number}].text", part["text"]
            elif part.get("type") == "image_url" and isinstance(image, Mapping) and isinstance(image.get("url"), str):
                yield f"{place}[{number}].image_url.url", image["url"]


def _needed(text: PromptText) -> frozenset[str]:
    names: set[str] = set()
    for place, template in _templates(text):
        made = _placed(place, _template, text, template)
        if isinstance(made, tuple):
            places = [piece for piece in made if not isinstance(piece, str)]
            names.update(piece.name for piece in places)
            looked_up = {piece.members[0]: piece.written for piece in places if piece.name == "lookups"}
        else:
            names |= made.needed
            looked_up = {name: f"lookups.{name}" for name in sorted(made.looked_up)}
        for name, written in looked_up.items():
            if name not in text.lookups:
                raise PromptError(f"'{place}' has {written[:80]!r}, which 'lookups' does not name; add it there", param=place)
    return frozenset(names - RESERVED)


def _filled(content: Any, values: Values, param: str) -> tuple[Any, int]:
    """Return a message's content, and how many characters of text are in it."""
    if type(content) is not list:
        text = _text(content, values, param)
        return text, len(text)
    made, used = [], 0
    for part in content:
        if part.get("type") == "text":
            text = _text(part["text"], values, param)
            part = {**part, "text": text}  # noqa: PLW2901 - the part with its text in the template's place
            used += len(text)
        elif part.get("type") == "image_url" and isinstance(part["image_url"], Mapping) and _is_template(part["image_url"].get("url")):
            text = _text(part["image_url"]["url"], values, param)
            part = {**part, "image_url": {**part["image_url"], "url": text}}  # noqa: PLW2901 - likewise
            used += len(text)
        made.append(part)
    return made, used


def _is_template(made: Any) -> bool:
    return type(made) is tuple or callable(made)


def _text(template: Template, values: Values, param: str) -> str:
    if type(template) is not tuple:
        return template(values, param)  # type: ignore[operator,arg-type]  # values are Data where templates are Sandboxed
    found: list[str] = []
    for piece in template:
        if type(piece) is str:
            found.append(piece)
        elif not piece.members and piece.escape is strict.plain and type(value := values.get(piece.name)) is str:  # type: ignore[union-attr]
            found.append(value)  # nearly all there is, without a call for each
        else:
            found.append(_written(piece, values, param))  # type: ignore[arg-type]
    return "".join(found)


def _written(place: Place, values: Values, param: str) -> str:
    name, members = place.name, place.members
    if name not in values:  # the schema does not require it
        raise missing_variable(name, param)
    value = values[name]
    if name == "context":
        return place.escape(value.get(".".join(members), ""))
    for member in members:
        if name == "lookups" and value is None:
            break
        value = _member(value, member, place, param)
    return place.escape("" if value is None and name == "lookups" else value)


def _member(value: Any, member: str, place: Place, param: str) -> Any:
    if isinstance(value, Mapping) and member in value:
        return value[member]
    if isinstance(value, list | tuple) and member.isascii() and member.isdigit() and len(member) < 8 and int(member) < len(value):
        return value[int(member)]
    if place.name == "lookups":
        raise PromptError(f"what was looked up has no {place.written!r}", param=place.written, code="missing_variable")
    raise missing_variable(place.written, param)
