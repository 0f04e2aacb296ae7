"""Which provider speaks which protocol: one line each. Providers hold no state, so one instance serves all calls."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.domain.catalog import Protocol
from gateway.ports import Provider
from gateway.providers.azure_openai import AzureOpenAI
from gateway.providers.openai import OpenAI

_PROVIDERS: Mapping[str, Provider] = MappingProxyType({
    Protocol.AZURE_OPENAI: AzureOpenAI(),
    Protocol.OPENAI: OpenAI(),
})  # fmt: skip


def provider_for(protocol: str) -> Provider:
    """Return the provider of a catalogue's `Protocol`."""
    return _PROVIDERS[protocol]
