"""Guarded streams of transcriptions; those of pictures and speech hold no text, and pass.

    transcript.text.delta {"delta"} … transcript.text.segment {"text", "speaker"} … transcript.text.done {"text"}

Source: OpenAI API reference, streaming events of "Transcriptions" (read 2026-11-22).
"""

from gateway.guardrails.streams.dialect import Common, Document

_TEXT = "transcript"


class MediaDialect(Common):
    """The Dialect of transcriptions, pictures and speech."""

    __slots__ = ()

    async def take(self, document: Document) -> list[Document] | None:
        """Read an event."""
        kind = str(document.get("type"))
        if not kind.startswith("transcript."):
            self.watch.skip("audio" if kind.startswith("speech.") else "image")
            return None
        if kind == "transcript.text.delta":
            delta = document.get("delta") or ""
            document["delta"] = await self.channel(_TEXT).push(delta)
            changed = document["delta"] != delta
            if document.get("logprobs"):
                document["logprobs"] = []
                changed = True
            return ([document] if document["delta"] or not delta else []) if changed else None
        before = await self.rest() if kind == "transcript.text.done" else []
        if self.watch.ended:
            return before
        changed = await self.texts.rewrite(document)
        if self.watch.ended:
            return before
        return [*before, document] if changed or before else None

    async def rest(self) -> list[Document]:
        """Return what still waits."""
        channel = self.channels.pop(_TEXT, None)
        if channel is None:
            return []
        rest = await channel.flush()
        if self.watch.ended:
            self.channels[_TEXT] = channel
        self.texts.remember(channel)
        return [{"type": "transcript.text.delta", "delta": rest}] if rest else []

    def ending(self, verdict: Document) -> list[Document]:  # noqa: ARG002 - there is nothing that it could stand in
        """Return nothing: a transcript has no end but its own, so the stream ends with an error."""
        return []
