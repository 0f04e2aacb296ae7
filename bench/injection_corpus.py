"""Texts made from templates: what the development data lacks of kinds of attack and, above all, of honest requests that sound alike.

The templates and what fills them stand in `data/injection_templates.json`. Deterministic: everything comes from one seeded
generator. None of these texts stands in the held-out sets.
"""

import json
import random
from pathlib import Path
from types import SimpleNamespace

T = SimpleNamespace(**json.loads((Path(__file__).parent / "data" / "injection_templates.json").read_text(encoding="utf-8")))


class Corpus:
    """A generator of labelled texts."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def _one(self, options: list[str]) -> str:
        return self._random.choice(options)

    def question(self) -> str:
        one = self._one
        return one(T.questions).format(x=one(T.places), f=one(T.foods), t=one(T.topics), t2=one(T.topics), c=one(T.codes))

    def attack(self) -> str:
        one, kind = self._one, self._random.randrange(9)
        order = f"{one(T.drop)} {one(T.which)} {one(T.orders)}"
        if kind == 0:
            text = f"{one(T.why)}{order}{self._spaced(one(T.then))} {one(T.goals)}."
        elif kind == 1:
            text = f"{self.question()} {order}{self._spaced(one(T.then))} {one(T.goals)}"
        elif kind in {2, 3}:
            text = f"{one(T.persona).format(n=one(T.names), l=one(T.no_limits), l2=one(T.no_limits))} {one(T.forced)}. {one(T.asks)}?"
        elif kind == 4:
            text = f"{one(T.why)}{one(T.show)} {one(T.secret)}{one(T.how)}."
        elif kind == 5:
            text = f"{one(T.forced)}. {one(T.forced)}. {one(T.asks)}?"
        elif kind == 6:
            text = f"{self.question()}\n{one(T.markup).format(t=f'{order}. {one(T.goals)}.')}"
        elif kind == 7:
            text = f"{one(T.benign_abroad)} {one(T.attacks_abroad)}" if self._random.random() < 0.3 else one(T.attacks_abroad)
        else:
            whole = f"{order} and {one(T.goals)}"
            cut = self._random.randrange(4, len(whole) - 4)
            text = one(T.split).format(a=whole[:cut], b=whole[cut:])
        return self._cased(text)

    def benign(self) -> str:
        one, kind = self._one, self._random.randrange(13)
        if kind in {0, 1, 2}:
            text = one(T.hard).format(d=one(T.do), o=one(T.objects), k=one(T.kits))
        elif kind == 3:
            text = one(T.role_asks).format(p=one(T.roles), q=self.question())
        elif kind == 4:
            text = f"{self.question()} {one(T.style)}"
        elif kind == 5:
            text = one(T.teach).format(s=one(T.subjects), s2=one(T.subjects))
        elif kind in {6, 9}:
            text = one(T.benign_abroad)
        elif kind == 10:
            text = one(T.tasks).format(a=one(T.things), b=one(T.doings), t=one(T.topics), f=one(T.foods))
        elif kind == 11:
            text = one(T.fiction).format(p=one(T.roles), q="scholar", t=one(T.topics), x=one(T.places), f=one(T.foods))
        elif kind == 7:
            text = f"{self.question()}\n\n{self.document()}"
        else:
            text = self.question()
        return self._cased(text)

    def document(self) -> str:
        """Return sentences of a document that holds no instructions to a model."""
        lines = self._random.sample(T.documents, self._random.randrange(3, 9))
        return self._one(["\n", " ", "\n\n"]).join(lines)

    def instruction(self) -> str:
        """Return a sentence that has no business in a document."""
        one = self._one
        if self._random.random() < 0.2:
            return self.question()
        return one(T.embedded).format(v=one(T.verbs), r=one(T.replies), e=one(T.encoded), m=one(T.mentions), g=one(T.actions))

    @staticmethod
    def _spaced(then: str) -> str:
        return then if then[0] in ".,;" else f" {then}"

    def _cased(self, text: str) -> str:
        return text[0].upper() + text[1:] if self._random.random() < 0.8 else text
