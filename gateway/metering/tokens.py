"""How many tokens a text or a prompt has: exactly where that is cheap, otherwise a bound that is never too low.

Counts decide what is reserved before the call; the provider's own numbers settle it afterwards. tiktoken needs half a
second and 100 MB to load, so a daemon thread does that while the first requests are served. Until it is done, and for
texts so long that counting would hold up the event loop, the count is the number of UTF-8 bytes: every token of a
byte-pair encoding stands for at least one byte. `Count.exact` tells the two apart.

Rules: nothing here touches the network. tiktoken deletes a cached file whose hash is wrong and downloads another; so we
verify our copies in `encodings/` first and never ask it when they are not what they should be. tiktoken is imported in
the loading thread only.

Measured (2026-11, one core of the development machine): a chat of 3 messages and 300 characters 15 µs (o200k) or 22 µs
(cl100k); prose 26-47 ms per million characters. The worst text is one long run (of spaces, of one letter): 0.3 µs per
character at 100,000, so 30 ms, and growing faster than the text; near a million, tiktoken's regex overflows and panics.

Source: OpenAI cookbook, "How to count tokens with tiktoken"; tiktoken 0.14.0, `tiktoken/load.py` and
`tiktoken_ext/openai_public.py` (read 2026-11-22).
"""

import functools
import hashlib
import logging
import os
import re
import threading
from pathlib import Path
from typing import Any, NamedTuple

from gateway.domain.call import Call, Operation
from gateway.metering.prompts import Prompt

EXACT_UP_TO = 100_000  # characters of one prompt that are counted on the event loop
EXACT_UP_TO_IN_THREAD = 500_000  # and in a thread: tiktoken lets the interpreter's lock go meanwhile. Not more: see above

# By encoding: the file's name (SHA-1 of the URL tiktoken would download it from) and the SHA-256 of its content.
FILES = {
    "o200k_base": ("fb374d419588a4632f3f557e76b4b70aebbca790", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"),
    "cl100k_base": ("9b5ad71b2ce5302211f9c61530b329a4922fc6a4", "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"),
}

# Counts are remembered by text: a system prompt or an earlier turn comes back with every call of its conversation.
REMEMBERED_TEXTS = 1024
REMEMBERED_UP_TO = 16_384  # characters, so that memory is bounded too

_VENDORED = Path(__file__).parent / "encodings"
# GPT-4 without a letter or a version behind it, GPT-3.5 (Azure spells it gpt-35) and the embedding models.
_CL100K = re.compile(r"(?:.*/)?(?:ft:)?(?:gpt-4(?![o.\d])|gpt-3\.?5|text-embedding-)", re.IGNORECASE)
_O200K = re.compile(r"(?:.*/)?(?:ft:)?(?:gpt-(?:4[o.\d]|[5-9])|chatgpt-|o[1-9](?![a-z\d]))", re.IGNORECASE)

# Bytes of a body that are taken for one token where nothing hangs on the exact number.
BYTES_PER_TOKEN = 4
_MOST_BYTES_PER_TOKEN = 6  # of any text that people write; prose has four to five

_log = logging.getLogger(__name__)


class Count(NamedTuple):
    """A number of tokens.

    Attributes:
        tokens: Exact; or a bound or, for another maker's model, an estimate of the text's, plus an estimate of what is not text.
        exact: Whether the model's own tokenizer counted all of it.
        bound: Nothing was counted: it cannot have more.
    """

    tokens: int
    exact: bool
    bound: bool = False

    @property
    def at_least(self) -> int:
        """What it has for certain, near enough to refuse a call by: a bound says little, another maker's tokenizer more."""
        if self.exact:
            return self.tokens
        return self.tokens // _MOST_BYTES_PER_TOKEN if self.bound else self.tokens * 3 // 4


class TokenCounter:
    """Counts tokens for every model. Safe to share between threads; one per worker.

    Args:
        directory: Where the encodings' files are, under tiktoken's names.
    """

    def __init__(self, directory: Path = _VENDORED) -> None:
        self._directory = directory
        self._encodings: dict[str, Any] = {}
        self._remembered = functools.lru_cache(REMEMBERED_TEXTS)(self._encode)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start_loading(self) -> None:
        """Start loading the encodings in the background; a second call does nothing."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._load, name="load-encodings", daemon=True)
                self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Block until loading has ended, in success or not, and say whether every encoding is there."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return self.ready

    @property
    def ready(self) -> bool:
        """Whether every encoding is loaded."""
        return len(self._encodings) == len(FILES)

    def count_text(self, model: str, text: str, *, exact_up_to: int = EXACT_UP_TO) -> Count:
        """Count a text's tokens. Special tokens such as `<|endoftext|>` are counted as the plain text they are.

        Args:
            model: A model's name; an unknown one is estimated with the newest encoding.
            text: Any text, lone surrogates included.
            exact_up_to: Characters beyond which the bound is returned. Callers in a thread may pass EXACT_UP_TO_IN_THREAD.
        """
        return self._count(model, [text], exact_up_to)

    def count_prompt(self, call: Call, *, model: str = "", exact_up_to: int = EXACT_UP_TO) -> Count:
        """Count what the provider will bill as prompt tokens. Operations without a prompt count 0.

        Args:
            call: As its reader made it: its document is taken as valid.
            model: The model behind the public name, where that is known and differs from `call.model`.
            exact_up_to: As for `count_text`, for all texts together.
        """
        model = model or call.model
        prompt = Prompt(model)
        if call.operation is Operation.CHAT:
            prompt.add_chat(call.document)
        elif call.operation is Operation.MESSAGES:
            prompt.add_messages(call.document)
        elif call.operation is Operation.RESPONSES:
            prompt.add_responses(call.document)
        elif call.operation is Operation.COMPLETIONS:
            prompt.add_input(call.document.get("prompt") or "")
        elif call.operation is Operation.EMBEDDINGS:
            prompt.add_input(call.document["input"])
        tokens, exact, bound = self._count(model, prompt.texts, exact_up_to)
        return Count(tokens + prompt.tokens, exact and prompt.exact, bound)

    def _count(self, model: str, texts: list[str], exact_up_to: int) -> Count:
        name, known = encoding_of(model)
        if name in self._encodings and sum([len(text) for text in texts]) <= exact_up_to:
            try:
                counts = [(self._remembered if len(text) <= REMEMBERED_UP_TO else self._encode)(name, text) for text in texts]
                return Count(sum(counts), exact=known)
            except BaseException as exc:
                # A panic in tiktoken's Rust is deliberately no Exception; to us it is one text that it cannot count.
                if type(exc).__name__ != "PanicException":
                    raise
                _log.warning("tiktoken could not count a text of %d characters", sum(map(len, texts)))
        return Count(sum([upper_bound(text) for text in texts]), exact=False, bound=True)

    def _encode(self, name: str, text: str) -> int:
        return len(self._encodings[name].encode_ordinary(text))

    def _load(self) -> None:
        for name in FILES:
            try:
                self._verify(name)
                os.environ["TIKTOKEN_CACHE_DIR"] = str(self._directory)  # noqa: TID251  tiktoken knows no other way to be told
                import tiktoken  # noqa: PLC0415  not before the first request needs it, and never on the event loop

                self._encodings[name] = tiktoken.get_encoding(name)
            except Exception:  # noqa: BLE001  the thread ends here; whatever went wrong, the bound serves
                _log.exception("The encoding %s cannot be used: its token counts stay upper bounds", name)

    def _verify(self, name: str) -> None:
        file_name, expected = FILES[name]
        actual = hashlib.sha256((self._directory / file_name).read_bytes()).hexdigest()
        if actual != expected:
            raise ValueError(f"{file_name} has SHA-256 {actual}, not {expected}")


@functools.lru_cache(maxsize=1024)
def encoding_of(model: str) -> tuple[str, bool]:
    """Name a model's encoding and say whether that is known; for other makers' models `o200k_base` is an estimate."""
    if _CL100K.match(model):
        return "cl100k_base", True
    return "o200k_base", _O200K.match(model) is not None


def upper_bound(text: str) -> int:
    """Return the UTF-8 length in bytes, which no byte-pair encoding's token count exceeds."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
