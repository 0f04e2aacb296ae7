"""What the detector of personal data finds in the development data, and what it costs: `python -m bench.pii`."""

import json
import time
from collections import Counter
from pathlib import Path

from gateway.guardrails.pii.detector import PiiDetector

DATASETS = Path(__file__).parents[2] / "shared" / "datasets"
TYPES = {"CREDIT_CARD": "payment_card", "PHONE": "phone", "EMAIL": "email", "IP": "ip_address", "IBAN": "iban", "SSN": "us_ssn"}
SIZE, ROUNDS = 4096, 300
TEXTS = {
    "prose": "The quick brown fox jumps over the lazy dog, and in 2024 we had 5 apples left. It's a well-known fact; see chapter 3. ",
    "prose with e-mails": "We met Ana at 10:30 on 2024-03-11, paid $1,200.50, wrote to bob@example.com about v1.2.3, and went home. ",
    "digits in groups": "4111 1111 2222 3333 1234 5678 90 12 345-678 12.5 ",
    "hashes": "5f5077f28cc5b83ffb39473b4ea9f1765be122ea ",
}


def rows(name: str) -> list[dict]:
    path = DATASETS / name
    if not path.exists():
        raise SystemExit(f"{name} is not beside the repository")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def quality(detector: PiiDetector) -> None:
    wanted, exact, claimed, right = Counter(), Counter(), Counter(), Counter()
    for row in rows("pii_cases_dev.jsonl"):
        findings = {(each.start, each.end, each.category) for each in detector.read(row["text"]).findings}
        spans = {(each["start"], each["end"], TYPES[each["type"]]) for each in row["spans"] if each["type"] in TYPES}
        wanted.update(category for *_, category in spans)
        exact.update(category for *_, category in spans & findings)
        claimed.update(category for *_, category in findings)
        right.update(category for *_, category in findings & spans)
    print(f"  {'category':20}{'spans':>8}{'recall':>10}{'precision':>12}")
    for category in TYPES.values():
        print(
            f"  {category:20}{wanted[category]:>8}{exact[category] / wanted[category]:>10.3f}{right[category] / claimed[category]:>12.3f}"
        )
    benign = rows("pii_benign_dev.jsonl")
    print(f"\n  look-alikes with a finding: {sum(bool(detector.read(each['text']).findings) for each in benign)} of {len(benign)}\n")


def cost_us(detector: PiiDetector, text: str) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        detector.read(text)
        best = min(best, time.perf_counter() - began)
    return best * 1e6


def main() -> None:
    personal, secrets = PiiDetector(), PiiDetector(secrets=True)
    quality(personal)
    print(f"  {'4 KB of':20}{'personal data':>16}{'secrets':>12}")
    for name, text in TEXTS.items():
        whole = (text * (SIZE // len(text) + 1))[:SIZE]
        print(f"  {name:20}{cost_us(personal, whole):>13.0f} us{cost_us(secrets, whole):>9.0f} us")


if __name__ == "__main__":
    main()
