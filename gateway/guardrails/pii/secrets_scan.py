r"""Finds credentials: keys whose vendors gave them a form, tokens, private keys, and what is called a secret where it stands.

- A key of a known form is one wherever it stands, if it begins a word.
- After `password =`, `AccountKey=`, `Authorization: Bearer` and the like, the value alone is the finding, so that a redacted text
  still says what was there. Values that stand for another (`${VAR}`, `os.environ[...]`, `<your key>`) are none.
- A private key begins with its PEM header and ends with its footer, or where what follows cannot belong to it, or after
  `MAX_HELD` characters.

Source: GitHub's list of supported secret patterns and Microsoft's identifiable secrets, https://github.com/microsoft/security-utilities
(read 2026-11-22).
"""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from gateway.guardrails.pii.text import scanner

type Found = tuple[int, int, str]

MAX_HELD = 16 * 1024
_REACH = 48

# Category → forms. A form begins a word; it says itself how long it must be.
FORMS: tuple[tuple[str, bytes], ...] = (
    ("api_key.anthropic", rb"sk-ant-[A-Za-z0-9_\-]{20,}"),
    ("api_key.openrouter", rb"sk-or-v1-[A-Za-z0-9]{32,}"),
    ("api_key.openai", rb"sk-(?:proj-|svcacct-|admin-|None-)?[A-Za-z0-9_\-]{20,}"),
    ("api_key.gateway", rb"gwk_[a-z0-9]{16}_[A-Za-z0-9_\-]{43}"),
    ("api_key.aws", rb"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}"),
    ("api_key.github", rb"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,}"),
    ("api_key.gitlab", rb"gl(?:pat|dt|rt|ft|soat|cbt|ptt|oas|agent)-[A-Za-z0-9_\-]{20,}(?:\.[0-9a-z]{2}\.[0-9a-z]{9})?"),
    ("api_key.google", rb"AIza[A-Za-z0-9_\-]{35}|GOCSPX-[A-Za-z0-9_\-]{24,}|ya29\.[A-Za-z0-9_\-]{20,}"),
    ("api_key.slack", rb"xox[abeoprs]-[A-Za-z0-9\-]{10,}|xapp-\d-[A-Za-z0-9\-]{20,}"),
    ("api_key.slack", rb"hooks\.slack\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{16,}"),
    ("api_key.stripe", rb"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9]{24,}"),
    ("api_key.azure", rb"[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{26}"),
    ("api_key.azure", rb"[A-Za-z0-9+/]{76}(?:\+AStACR|AzCa[A-Za-z0-9+/]{3}|AIoT[A-Za-z0-9+/]{3})[A-Za-z0-9+/]{0,8}={0,2}"),
    ("api_key.azure", rb"[A-Za-z0-9_\-]{44}AzFu[A-Za-z0-9_\-]{5}[AQgw]=?=?"),
    ("api_key.azure", rb"[A-Za-z0-9_~.\-]{3}\dQ~[A-Za-z0-9_~.\-]{31,34}"),
    ("api_key.huggingface", rb"hf_[A-Za-z0-9]{30,}"),
    ("api_key.npm", rb"npm_[A-Za-z0-9]{36}"),
    ("api_key.pypi", rb"pypi-[A-Za-z0-9_\-]{50,}"),
    ("api_key.sendgrid", rb"SG\.[A-Za-z0-9_\-]{16,32}\.[A-Za-z0-9_\-]{32,64}"),
    ("api_key.groq", rb"gsk_[A-Za-z0-9]{40,}"),
    ("api_key.xai", rb"xai-[A-Za-z0-9]{60,}"),
    ("api_key.perplexity", rb"pplx-[A-Za-z0-9]{40,}"),
    ("api_key.databricks", rb"dapi[a-f0-9]{32}"),
    ("api_key.shopify", rb"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    ("api_key.digitalocean", rb"do[opr]_v1_[a-f0-9]{64}"),
    ("api_key.telegram", rb"\d{8,10}:AA[A-Za-z0-9_\-]{33}"),
    ("api_key.twilio", rb"(?:SK|AC)[0-9a-f]{32}"),
    ("api_key.mailgun", rb"key-[0-9a-f]{32}"),
    ("api_key.mailchimp", rb"[0-9a-f]{32}-us\d{1,2}"),
    ("api_key.hashicorp", rb"hv[sbr]\.[A-Za-z0-9_\-]{24,}|\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_\-]{60,}"),
    ("api_key.atlassian", rb"ATATT3[A-Za-z0-9_=\-]{60,}|ATCTT3[A-Za-z0-9_=\-]{60,}"),
    ("api_key.doppler", rb"dp\.(?:pt|st|ct|scim|audit)\.[A-Za-z0-9._\-]{40,}"),
    ("api_key.linear", rb"lin_(?:api|oauth)_[A-Za-z0-9]{32,}"),
    ("api_key.notion", rb"ntn_[A-Za-z0-9]{40,}"),
    ("api_key.figma", rb"fig[dou]_[A-Za-z0-9_\-]{36,}"),
    ("api_key.new_relic", rb"NRAK-[A-Z0-9]{27}"),
    ("api_key.grafana", rb"gl(?:sa|c)_[A-Za-z0-9+/=_]{32,}"),
    ("api_key.replicate", rb"r8_[A-Za-z0-9]{37}"),
    ("api_key.fireworks", rb"fw_[A-Za-z0-9]{20,}"),
    ("api_key.age", rb"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    ("api_key.docker", rb"dckr_(?:pat|oat)_[A-Za-z0-9_\-]{20,}"),
    ("api_key.discord", rb"\b[MNO][A-Za-z0-9_\-]{23,27}\.[A-Za-z0-9_\-]{6}\.[A-Za-z0-9_\-]{27,38}"),
    ("api_key.postman", rb"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    ("api_key.planetscale", rb"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.=\-]{32,}"),
    ("api_key.rubygems", rb"rubygems_[0-9a-f]{48}"),
    ("api_key.sentry", rb"sntry[su]_[A-Za-z0-9+/=_]{40,}"),
    ("api_key.supabase", rb"sb[p]_[0-9a-f]{40}|sb_secret_[A-Za-z0-9_\-]{20,}"),
    ("api_key.tavily", rb"tvly-(?:dev-|prod-)?[A-Za-z0-9]{24,}"),
    ("api_key.langsmith", rb"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"),
    ("api_key.pinecone", rb"pcsk_[A-Za-z0-9_]{40,}"),
    ("api_key.meta", rb"EAA[A-Za-z0-9]{90,}"),
    ("api_key.square", rb"sq0[a-z]{3}-[A-Za-z0-9_\-]{22,}|EAAA[A-Za-z0-9_\-]{60}"),
    ("api_key.airtable", rb"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}"),
    ("api_key.nvidia", rb"nvapi-[A-Za-z0-9_\-]{60,}"),
    ("token.jwt", rb"eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*){1,3}"),
)  # fmt: skip
# What begins like a JWT and has no dot for so long is held to be one: a stream cannot wait for its dots for ever.
_LONG = 8 * 1024
_LONG_TOKEN = rb"eyJ[A-Za-z0-9_\-.]+"
_ANY_FORM = b"|".join(form for _, form in FORMS)

_BEGIN = rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_HEADER = rb"(?:(?:\s|\\[nr]){1,4}(?:Proc-Type|DEK-Info|Version|Comment|Charset|Hash):[^\n\\]{0,100}){0,6}"
_BODY = rb"(?:[A-Za-z0-9+/=]|[\r\t]|\n {0,16}|\\[nrt\\]| [A-Za-z0-9+/=]{16})*"
_DIGITS = b"0123456789"
_LETTERS = bytes(char for char in range(256) if chr(char).isalnum() or char in b" _-.")
_END = rb"(?: ?-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----)?"
_PEM = _BEGIN + _HEADER + _BODY + _END
_OPEN_BEGIN = rb"-(?:-(?:-(?:-(?:-(?:B(?:E(?:G(?:I(?:N(?: [A-Z0-9 ]{0,48}-{0,5})?)?)?)?)?)?)?)?)?)?\z"
_OPEN_PEM = _BEGIN + rb"(?s:.{0,160}\z|" + _HEADER + _BODY + rb"[ \-A-Z0-9\\:]{0,80}\z)"

_NAMED = (
    rb"(?i)(?:(pass(?:word|wd|phrase|code)?|pwd|passwort|contrase[\xff]a|mot de passe)|"
    rb"(accountkey|sharedaccesskey|sharedaccesssignature)|"
    rb"(secret(?:[ _\-]?(?:access[ _\-]?)?key)?|client[ _\-]?secret|api[ _\-]?key|apikey|access[ _\-]?key|auth[ _\-]?token|"
    rb"(?:access|refresh|id|bearer|session)?[ _\-]?token|subscription[ _\-]?key|private[ _\-]?key|signature|sig|credential)|"
    rb"(bearer|authorization:? ?basic))"
)
_KINDS = ("password", "connection", "secret", "bearer")  # the groups of _NAMED
_ASSIGNED = _NAMED + rb"(?:\\?[\"']?\]? {0,2}(?:=>|:=|[:=]) {0,3}| is:? | )(?:\\?[\"'])?"
_VALUE = rb"[^\s\"',;<>()\[\]{}|`\x80\\&][^\s\"',;<>()\[\]{}|`\x80\\&]{0,511}"
_QUOTED = rb"[^\"'\n\\]{1,256}"
_IN_QUOTES = _ASSIGNED.replace(rb"(?:\\?[\"'])?", rb"\\?[\"']") + rb"[^\"'\n\\]{0,256}\z"
_URL = rb"(?i)[a-z][a-z0-9+.\-]{1,20}://[^\s/:@\"'<>\\]{0,64}:[^\s/@\"'<>,;()\[\]{}|`\x80\\]{1,256}@"
_TOKEN = rb"[^\s\"',;<>()\[\]{}|`\x80\\][^\s\"',;<>()\[\]{}|`\x80\\]*\z"
_IN_REPLACEMENT = rb"\[[A-Z_]*\z"
_STAND_INS = (
    rb"(?i)(?-i:\$[A-Z_][A-Z0-9_]*)|%s|%[a-z0-9_]+%|\*+|\[[a-z0-9_]+\].*|<[a-z0-9_ \-]+>.*|"
    rb".*(?:your|example|changeme|placeholder|redacted|xxxx|\*\*\*|\.\.\.|environ|getenv|process\.env|config|settings|secrets?\.|"
    rb"vault|args\.|self\.|request\.).*|(?:none|null|nil|true|false|undefined|required|optional|string|str|secret|password|passwd|token|input|"
    rb"prompt|the|your|a|an)[^\w\x80]*"  # a break may stand for a finding, and what holds one stands for nothing else
)

CATEGORIES = frozenset(
    {category for category, _ in FORMS}
    | {"private_key", "password", "connection_string", "url_credentials", "token.bearer", "token.basic", "secret"}
)


def find(_text: str, data: bytes) -> Iterator[Found]:
    """Find the credentials of a text."""
    yield from _keys(data)
    if b"-----BEGIN" in data:
        for match in scanner(_PEM).finditer(data):
            yield match.start(), min(match.end(), match.start() + MAX_HELD), "private_key"
    if b"://" in data:
        for match in scanner(_URL).finditer(data):
            value = match.group()
            place = match.start() + value.index(b":", value.index(b"://") + 3) + 1
            if not scanner(_STAND_INS).fullmatch(data[place : match.end() - 1]):
                yield place, match.end() - 1, "url_credentials"
    covered = 0
    for match in scanner(_ASSIGNED).finditer(data):
        if match.end() < covered:
            continue  # a part of what was found
        for found in _assigned(data, match):
            covered = found[1]
            yield found


def _keys(data: bytes) -> Iterator[Found]:
    for match in scanner(_ANY_FORM).finditer(data):
        start, end = match.span()
        if not (data[start - 1 : start].isalnum() or data[start - 1 : start] == b"_") and _mixed(data[start:end]):
            yield start, end, _form(data[start:end])
    if len(data) > _LONG and b"eyJ" in data:
        for match in scanner(_LONG_TOKEN).finditer(data):
            if match.end() - match.start() > _LONG and not data[match.start() - 1 : match.start()].isalnum():
                yield *match.span(), "token.jwt"


def _form(value: bytes) -> str:
    return next((category for category, form in FORMS if scanner(form).fullmatch(value)), "secret")


def _mixed(value: bytes) -> bool:
    """Whether it looks drawn by lot rather than written: letters and digits, and many different ones.

    Twenty letters without a digit are drawn now and then, forty hardly ever; `sk-` begins words of other kinds, too.
    """
    if len(set(value)) < 10:
        return False
    return value.translate(None, _DIGITS) != value or (value[:3] != b"sk-" and not value.islower() and b"-" not in value[6:])


def _assigned(data: bytes, match: Any) -> Iterator[Found]:
    start = match.end()
    if b"]" in match.group() and scanner(_IN_REPLACEMENT).search(data[max(0, match.start() - 24) : match.start()]):
        return  # the name is that of a replacement: `[PASSWORD] = `
    quoted = data[start - 1 : start] in (b'"', b"'")
    value = scanner(_QUOTED if quoted else _VALUE).match(data[start : start + 512])
    if value is None:
        return
    text = value.group() if quoted else value.group().rstrip(b".?:")
    start += len(text) - len(text.lstrip(b" "))  # a key behind blanks is a finding of its own, and begins where it begins
    text = text.lstrip(b" ")
    joint = data[match.start() : start].rstrip(b"\"'\\")
    kind = next(name for number, name in enumerate(_KINDS, 1) if match.group(number) is not None)
    sure = quoted or joint[-1:] in (b"=", b":") or joint.endswith((b"= ", b": "))
    if _is_value(text, kind, sure=sure, tight=joint.endswith(b"=")):
        yield start, start + len(text), _named(kind, match.group(), data[match.start() - 1 : match.start()])


def _named(kind: str, announced: bytes, before: bytes) -> str:
    if kind == "password":
        return "connection_string" if before == b";" else "password"
    if kind == "bearer":
        return "token.basic" if announced.lower().startswith(b"auth") else "token.bearer"
    return "connection_string" if kind == "connection" else "secret"


def _is_value(text: bytes, kind: str, *, sure: bool, tight: bool) -> bool:
    has_digit = text.translate(None, _DIGITS) != text
    if kind != "password" and not (b" " not in text and len(text) >= 16 and (has_digit or text.endswith(b"="))):
        return False
    if len(text) < 4 or scanner(_STAND_INS).fullmatch(text):
        return False
    if kind == "password":
        symbols = bool(text.translate(None, _LETTERS))
        if b" " in text and not (has_digit and symbols):
            return False
        return tight or (sure and len(text) >= 6 and (has_digit or symbols)) or (has_digit and symbols and len(text) >= 6)
    return (sure or kind == "bearer") and _entropy(text) >= 3.0


def _entropy(text: bytes) -> float:
    """Return the bits per character."""
    size = len(text)
    return -sum(count / size * math.log2(count / size) for count in Counter(text).values())


def open_from(data: bytes) -> int:
    """Return from which character on more text could still complete or change a credential."""
    low = max(0, len(data) - MAX_HELD)
    tail, first = data[low:], len(data)
    for pattern in (_TOKEN, _OPEN_BEGIN):
        if (match := scanner(pattern).search(tail)) is not None:
            first = min(first, low + match.start())
    if b"-----BEGIN" in tail and (match := scanner(_OPEN_PEM).search(tail)) is not None:
        first = min(first, low + match.start())
    return min(first, _open_quotes(data))


def _open_quotes(data: bytes) -> int:
    low = max(0, len(data) - 256 - _REACH)
    match = scanner(_IN_QUOTES).search(data[low:])
    return len(data) if match is None else low + match.start()
