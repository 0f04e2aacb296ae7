"""Trains the local injection detector's weights.

    python -m bench.train_injection ../shared/datasets/injection_dev.jsonl [--out FILE]

Deterministic: the same data gives the same bytes. Pure Python, less than half a minute. Both heads are logistic regressions on top
of what the patterns say already, so they learn what the patterns miss: AdaGrad, example by example. Of a long text the piece that
looks most like an attack is the one that is learned from. Texts of the data stay out of the weights' file; see the README beside it.
"""

import argparse
import json
import math
import random
import re
from pathlib import Path
from typing import NamedTuple

from bench.injection_corpus import Corpus
from gateway.guardrails.injection.detector import MOST_WORTH
from gateway.guardrails.injection.model import SLOTS, WEIGHTS, Head, Model, Words, apart, features, packed, pieces, sentences
from gateway.guardrails.injection.normalise import plain
from gateway.guardrails.injection.patterns import hits

SEED = 20261122
ATTACKS, BENIGN, INSTRUCTIONS, DOCUMENTS = 3000, 3600, 1200, 400
REQUESTS, NEAR_REQUESTS = 5000, 4000
EPOCHS, RATE, DECAY = 5, 0.25, 7e-3
_FENCE = re.compile(r"```.*?(?:```|$)", re.DOTALL)
_TELLING = re.compile(
    r"pass(?:word|phrase)|secret|confidential|ignor|forget|instruction|prompt|developer|admin|mode|previous|rule|you are now|do anything",
    re.IGNORECASE,
)
_HEADED = re.compile(r"^.*?\n(?:E-mail|Context):\n", re.DOTALL)
_MAIL_ONLY = re.compile(r"SUBJECT:|CONTENT:|EMAIL_FROM|Mercury|RECEIVED DATE|\$\d|^E-mail:|^Answer the question")


class Example(NamedTuple):
    """A text as the trainer sees it: the slots of each piece, what the patterns say, and the truth."""

    pieces: list[list[int]]
    offset: float
    label: int
    weight: float


def clear(text: str) -> str:
    return plain(text).text.lower()


def worth(text: str, data: bool) -> float:
    return min(sum(rule.worth for rule in hits(" ".join(text.split())) if data or not rule.embedded), MOST_WORTH)


def parts(words: Words, ranges: list[tuple[int, int]]) -> list[list[int]]:
    """Return the slots of some ranges of words."""
    slots = features(words)
    return [[slot for each in slots[start:end] for slot in each] for start, end in ranges]


def direct_example(text: str, label: int, weight: float = 1.0) -> Example:
    lower = clear(text)
    words = apart(lower)
    return Example(parts(words, pieces(words)), worth(lower, data=False), label, weight)


def data_example(text: str, label: int, weight: float = 1.0) -> list[Example]:
    """Return a document or an instruction, as its sentences; nothing for one without."""
    lower = clear(text)
    words = apart(lower)
    ranges = sentences(words)
    return [Example(parts(words, ranges), worth(lower, data=True), label, weight)] if ranges else []


def injected(rows: list[dict[str, str]]) -> list[str]:
    """Return the lines that were put into documents: those of no honest one that are not the mail's own."""
    honest = {line.strip() for row in rows if not row["label"] for line in row["text"].splitlines()}
    found: dict[str, None] = {}
    for row in rows:
        if row["label"] and row.get("indirect") and row["source"].startswith("bipia"):
            for line in _FENCE.sub("\n", row["text"]).splitlines():
                if line.strip() not in honest and 12 < len(line.strip()) < 200 and not _MAIL_ONLY.search(line):
                    found[line.strip()] = None
    return list(found)


def trust(row: dict[str, str]) -> float:
    """Return how much a row's label says of its text alone: many attacks of CyberSecEval are attacks only beside their system text."""
    if not row["source"].startswith("cyberseceval"):
        return 1.0
    return 0.8 if _TELLING.search(row["text"]) else 0.15


def is_indirect(row: dict[str, str]) -> bool:
    return row["source"].startswith("bipia")


def learn(examples: list[Example], seed: int) -> Head:
    """Fit one head."""
    shuffled, chance = list(examples), random.Random(seed)
    positive = sum(each.weight for each in examples if each.label) or 1.0
    negative = sum(each.weight for each in examples if not each.label) or 1.0
    balance = {1: (positive + negative) / (2 * positive), 0: (positive + negative) / (2 * negative)}
    weights, seen, bias, bias_seen = [0.0] * SLOTS, [1e-3] * SLOTS, 0.0, 1e-3
    for _ in range(EPOCHS):
        chance.shuffle(shuffled)
        for found, offset, label, weight in shuffled:
            scores = [sum(map(weights.__getitem__, part)) / math.sqrt(len(part) or 1) for part in found]
            best = max(range(len(found)), key=scores.__getitem__)
            part, logit = found[best], bias + scores[best] + offset
            slope = (1 / (1 + math.exp(-max(-30.0, min(30.0, logit)))) - label) * weight * balance[label]
            bias_seen += slope * slope
            bias -= RATE * slope / math.sqrt(bias_seen)
            share = slope / math.sqrt(len(part) or 1)
            for slot in part:
                step = share + DECAY * weights[slot]
                seen[slot] += step * step
                weights[slot] -= RATE * step / math.sqrt(seen[slot])
    return quantised(weights, bias)


def quantised(weights: list[float], bias: float) -> Head:
    """Round weights to one byte each; the few that are far out are cut off."""
    sizes = sorted(abs(each) for each in weights if each)
    top = sizes[int(len(sizes) * 0.9995)] if sizes else 1.0
    return Head([max(-127, min(127, round(each / top * 127))) for each in weights], round(top / 127, 8), round(bias, 6))


def train(rows: list[dict[str, str]], made: float = 1.0) -> Model:
    """Fit both heads to rows and to `made` times the usual number of texts from templates."""
    corpus = Corpus(SEED)
    direct = [direct_example(row["text"], int(row["label"]), trust(row)) for row in rows if not (is_indirect(row) and row["label"])]
    direct += [direct_example(corpus.attack(), 1, 0.5) for _ in range(int(ATTACKS * made))]
    direct += [direct_example(corpus.benign(), 0, 0.5) for _ in range(int(BENIGN * made))]
    direct += [direct_example(corpus.request(), 1, 0.5) for _ in range(int(REQUESTS * made))]
    direct += [direct_example(corpus.near_request(), 0, 0.5) for _ in range(int(NEAR_REQUESTS * made))]
    documents = [corpus.document() for _ in range(int(DOCUMENTS * made))]
    direct += [direct_example(text, 0, 0.5) for text in documents]
    embedded = [each for text in injected(rows) for each in data_example(text, 1)]
    for _ in range(int(INSTRUCTIONS * made)):
        embedded += data_example(corpus.instruction(), 1, 0.7)
    for row in rows:
        if is_indirect(row) and not row["label"]:
            embedded += data_example(_HEADED.sub("", row["text"], count=1), 0)
        elif row["source"] == "self-instruct-seed":
            embedded += data_example(row["text"].splitlines()[0], 1, 0.2)
    embedded += [each for text in documents for each in data_example(text, 0)]
    return Model(learn(direct, SEED), learn(embedded, SEED))


def read(path: str | Path) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.train_injection", description="trains the local injection detector's weights")
    parser.add_argument("data", help="injection_dev.jsonl")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    content = packed(train(read(arguments.data)))
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_bytes(content)
    print(f"{arguments.out.name}: {len(content)} bytes")


if __name__ == "__main__":
    main()
