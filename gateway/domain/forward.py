"""What the gateway reads from a pass-through request, `/ai/{backend}/{*path}`: where it goes, and nothing of its body.

    Inbound(method, path_model = the backend or a model, path_rest, query_string, headers, body)
      → Call(model, method, path, query, headers, body, content_type, stream, pinned, safe)

What may be a model's answer is bounded all the same (`read_ceiling`), where the call's limits want to know it beforehand.

Rules: path and query go on as they came, escape by escape. Nobody leaves the backend's endpoint: a segment that any reading
takes for `.` or `..` (escaped, escaped twice, overlong, with `;parameters` or blanks), an empty one, a backslash, a control character, and
bytes that no URL may hold are refused. Of the client's headers only `PASSED_HEADERS` go upstream, so that neither its key nor its
cookies do. `gateway-deployment` is our own parameter: it names the resource that holds the state a client polls for, and is
taken out of the query.

Source: RFC 3986, sections 3.3 and 5.2.4; RFC 9110, sections 9.2 and 12.5.1 (read 2026-11-22).
"""

import re
import unicodedata
from urllib.parse import unquote

import msgspec

from gateway.domain.call import Call, Inbound
from gateway.errors import RequestError

DEPLOYMENT_PARAMETER = "gateway-deployment"
MAX_TARGET_CHARACTERS = 16 * 1024  # path and query together; what servers take ends long before
SAFE_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
# What tells a service what is wanted and in which form; names in lower case. Credentials, cookies, `ocp-apim-…`, and what
# belongs to one connection are not among them, nor is a header that somebody invented: we cannot know what it gives away.
PASSED_HEADERS = (
    "accept",
    "accept-language",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "idempotency-key",
    "prefer",
    "range",
    "repeatability-client-id",
    "repeatability-first-sent",
    "repeatability-request-id",
    "x-clienttraceid",  # Translator
    "x-microsoft-outputformat",  # text to speech
    "x-ms-client-request-id",
    "x-requestid",  # Speech
)

_PATH = re.compile(r"(?:[!$&-;=@-Z_a-z~|\[\]]|%[0-9A-Fa-f]{2})*")
_QUERY = re.compile(r"[!$%&-Z_a-z~|\[\]{}^`\\]*")
_DEPLOYMENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_HEADER_VALUE = re.compile(r"[\t -~]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
_OVERLONG = re.compile(r"%[cC][01]")  # what old decoders take for `.`, `/` and the like; no UTF-8 begins so
_EVENT_STREAM = re.compile(r"text/event-stream\s*(?:;(?!\s*q=0(?:\.0*)?\s*$).*)?", re.IGNORECASE)
_MAX_ESCAPES = 3  # readings: as it came, unescaped, unescaped again


def read_forward(inbound: Inbound, trace: str = "") -> Call:
    """Read a pass-through request; its body is not looked at.

    Args:
        inbound: The request; `path_model` names the backend, or a model whose pool is on such backends.
        trace: The traceparent to send upstream.

    Raises:
        RequestError: The path leads out of the backend, or something cannot be sent on.
    """
    if len(inbound.path_rest) + len(inbound.query_string) > MAX_TARGET_CHARACTERS:
        raise RequestError(f"the URL has over {MAX_TARGET_CHARACTERS} characters; put more of it into the body", param="path")
    check_path(inbound.path_rest)
    query, pinned = _read_query(inbound.query_string)
    headers = {name: _value(name, inbound.headers[name]) for name in PASSED_HEADERS if name in inbound.headers}
    return Call(
        operation=inbound.operation,
        surface=inbound.surface,
        model=inbound.path_model,
        body=inbound.body,
        document={},
        stream=any(_EVENT_STREAM.fullmatch(one.strip()) for one in headers.get("accept", "").split(",")),
        trace=trace,
        content_type=_value("content-type", inbound.headers.get("content-type", "")),
        method=inbound.method,
        path=inbound.path_rest,
        query=query,
        headers=headers,
        pinned=pinned,
        safe=inbound.method in SAFE_METHODS,
    )


class _Ceiling(msgspec.Struct, gc=False):
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None  # as responses call it
    n: int | None = None


_CEILING = msgspec.json.Decoder(_Ceiling)


def read_ceiling(body: bytes, default: int) -> int:
    """Return how many tokens a model may answer a body with that is passed on to it: all choices, `default` each where it says nothing."""
    try:
        asked = _CEILING.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return default  # it is not what a model takes, or is refused there
    ceilings = [one for one in (asked.max_tokens, asked.max_completion_tokens, asked.max_output_tokens) if one is not None]
    return max(max(ceilings, default=default), 1) * max(asked.n or 1, 1)


def check_path(path: str) -> None:
    """Check that an escaped path without its leading slash stays below whatever it is put after.

    Raises:
        RequestError: It does not, or some server may think so.
    """
    if not _PATH.fullmatch(path):
        raise _bad_path("it holds a character that a path may not hold unescaped")
    if "" in path.split("/")[:-1]:
        raise _bad_path("it has an empty segment, '//'")
    text = path
    for _ in range(_MAX_ESCAPES):
        folded = unicodedata.normalize("NFKC", text)  # some servers fold compatibility forms, and strip dots and blanks, before they look
        if _CONTROL.search(folded):
            raise _bad_path("it holds a backslash or a control character")
        names = [segment.partition(";")[0] for segment in folded.split("/")]
        if _OVERLONG.search(text) or any(name and not name.strip(" .") for name in names):
            raise _bad_path("it has a segment '.' or '..', or of dots and blanks; write the path out")
        plain = unquote(text)
        if plain == text:
            return
        text = plain
    raise _bad_path("it is escaped more than twice")


def _read_query(text: str) -> tuple[str, str]:
    """Return the query without our own parameter, and that one's value."""
    if not _QUERY.fullmatch(text):
        raise RequestError("the query holds a character that must be escaped as %XX", param="query", code="invalid_value")
    if DEPLOYMENT_PARAMETER not in text:
        return text, ""
    pairs = text.split("&")
    ours = [pair for pair in pairs if pair.partition("=")[0] == DEPLOYMENT_PARAMETER]
    pinned = unquote(ours[0].partition("=")[2]) if ours else ""
    if len(ours) > 1 or (ours and not _DEPLOYMENT_ID.fullmatch(pinned)):
        message = f"'{DEPLOYMENT_PARAMETER}' must be there once and be a deployment's id, as in the link you were given"
        raise RequestError(message, param=DEPLOYMENT_PARAMETER, code="invalid_value")
    return "&".join(pair for pair in pairs if pair not in ours), pinned


def _value(name: str, value: str) -> str:
    if not _HEADER_VALUE.fullmatch(value):
        raise RequestError(f"the header {name} holds a character other than printable ASCII", param=name, code="invalid_value")
    return value


def _bad_path(reason: str) -> RequestError:
    return RequestError(f"the path after the backend's name cannot be sent on: {reason}", param="path", code="invalid_path")
