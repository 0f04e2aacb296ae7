"""Prompts as administrators see them: JSON-ready. Pure."""

from typing import Any

import msgspec

from gateway.domain.prompts import SHARED, Prompt, PromptVersion


def prompt_shape(prompt: Prompt) -> dict[str, Any]:
    """Return a prompt: its newest version's number, its labels, and where each of them was, oldest first."""
    shape: dict[str, Any] = {
        "object": "prompt",
        "tenant": prompt.tenant,
        "name": prompt.name,
        "shared": prompt.tenant == SHARED,
        "state": "active" if prompt.retired is None else "retired",
        "latest": prompt.latest,
        "labels": dict(sorted(prompt.labels.items())),
        "moves": {label: [msgspec.to_builtins(each) for each in prompt.moves.get(label, ())] for label in sorted(prompt.labels)},
    }
    return shape | ({"retired_at": prompt.retired.isoformat()} if prompt.retired else {})


def version_shape(version: PromptVersion, prompt: Prompt) -> dict[str, Any]:
    """Return a version whole, with the labels that are on it."""
    members: dict[str, Any] = msgspec.to_builtins(version)
    place = {"object": "prompt.version", "tenant": version.tenant, "name": version.name, "version": version.version}
    return place | members | {"labels": _labels(prompt, version.version)}


def summary_shape(version: PromptVersion, prompt: Prompt) -> dict[str, Any]:
    """Return a version without its texts, for a list."""
    shape: dict[str, Any] = {
        "object": "prompt.version",
        "version": version.version,
        "labels": _labels(prompt, version.version),
        "model": version.model,
        "description": version.description,
        "note": version.note,
        "author": version.author,
        "at": version.at,
        "hash": version.hash,
    }
    return shape


def label_shape(prompt: Prompt, label: str) -> dict[str, Any]:
    """Return a label and where it is."""
    return {"object": "prompt.label", "prompt": prompt.name, "tenant": prompt.tenant, "label": label, "version": prompt.labels[label]}


def labels_shape(prompt: Prompt) -> dict[str, Any]:
    """Return all labels."""
    data = [label_shape(prompt, label) for label in sorted(prompt.labels)]
    return {"object": "list", "data": data, "has_more": False, "after": None}


def _labels(prompt: Prompt, number: int) -> list[str]:
    return sorted(label for label, version in prompt.labels.items() if version == number)
