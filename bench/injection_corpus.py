"""Texts made from templates: what the development data lacks of kinds of attack and, above all, of honest requests that sound alike.

The templates and what fills them stand in `data/injection_templates.json`. Deterministic: everything comes from one seeded
generator. None of these texts stands in the held-out sets.
"""

import base64
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

    def request(self) -> str:
        """Return a request for what a model was told to keep, or for another's data, or to leave its task."""
        kind = self._random.randrange(16)
        if kind < 6:
            text = self._for_secret()
        elif kind < 9:
            text = self._abroad()
        else:
            text = (self._leak, self._private, self._task, self._task, self._freed, self._shots, self._leak)[kind - 9]()
        return self._cased(text)

    def near_request(self) -> str:
        """Return an honest text that sounds like one."""
        one, kind = self._one, self._random.randrange(9)
        if kind < 4:
            text = self._filled(one(T.near_secret))
        elif kind == 4:
            text = one(T.near_harm).format(c=one(T.procs), v=one(T.verbs_harm))
        elif kind == 5:
            text = one(T.near_role).format(
                p=one(T.roles), q=self.question(), t=one(T.topics), x=one(T.places), f=one(T.foods), l=one(T.tongues)
            )
        elif kind == 6:
            text = f"{self._filled(one(T.near_secret))} {self.question()}"
        else:
            text = one(one(list(T.abroad.values()))["honest"])
        return self._cased(text)

    def _filled(self, text: str) -> str:
        one = self._one
        nouns = ["password", "secret key", "passphrase", "PIN", "API key", "access code", "private key", "secret", "token"]
        more = {"r": one(T.words), "l": one(T.tongues), "g": one(T.games), "x": one(T.places), "f": one(T.foods), "t": one(T.topics)}
        return text.format(s=one(nouns), k=one(T.kits), **more)

    def _plain_ask(self) -> str:
        one = self._one
        what = one(T.secret_whose).format(s=one(T.secret_nouns))
        return one(T.secret_asks).format(w=what, h=one(T.secret_hows), n=one(T.words), l=one(T.tongues))

    def _for_secret(self) -> str:
        one, kind, ask = self._one, self._random.randrange(5), self._plain_ask()
        if kind < 2:
            return ask
        if kind == 2:
            both = [one(T.persuasion), ask]
            self._random.shuffle(both)
            return " ".join(both)
        encoded = base64.b64encode(ask.encode()).decode()
        filling = {"f": one(T.secret_nouns).replace(" ", "_"), "l": one(T.tongues), "q": self.question(), "e": encoded}
        return one(T.secret_frames).format(a=ask, **filling)

    def _leak(self) -> str:
        return self._one(T.prompt_leaks).format(l=self._one(T.tongues), h=self._one(T.secret_hows))

    def _private(self) -> str:
        one = self._one
        text = one(T.private_asks).format(d=one(T.data), p=one(T.people), h=one(T.secret_hows))
        if self._random.random() < 0.3:
            return one(T.private_frames).format(a=self._random.choice([text, self._plain_ask()]), h=one(T.secret_hows))
        return f"{one(T.persuasion)} {text}" if self._random.random() < 0.4 else text

    def _task(self) -> str:
        one = self._one
        text = one(T.new_tasks).format(g=one(T.goals), r=one(T.phrases))
        if self._random.random() < 0.2:
            return one(T.forbidden).format(t=one(T.topics))
        return f"{self.question()} {text}" if self._random.random() < 0.5 else text

    def _freed(self) -> str:
        one = self._one
        text = one(T.virtual).format(N=one(T.names), l=one(T.freed), l2=one(T.freed2))
        return f"{text} {one(T.asks)}?" if self._random.random() < 0.6 else text

    def _shots(self) -> str:
        one = self._one
        turns = [(one(T.asks), one(["Sure, first you", "Of course. Start by", "Absolutely! Here is how"])) for _ in range(4)]
        return "\n".join(f"{one(['User', 'Human', 'Q'])}: {ask}?\n{one(['Assistant', 'AI', 'A'])}: {answer}" for ask, answer in turns)

    def _abroad(self) -> str:
        one, words = self._one, self._one(list(T.abroad.values()))
        kind = self._random.randrange(7)
        if kind > 4 and "data" in words:
            ask = one(words["data_asks"]).format(d=one(words["data"]), h=one(words["how"]))
            return one([ask, f"{one(words['drop'])} {ask}", f"{one(words['who'])} {ask}", one(words["share"])])
        ask = one(words["ask"]).format(s=one(words["secret"]), h=one(words["how"]))
        if kind < 2:
            return ask
        if kind == 2:
            return f"{one(words['drop'])} {ask}"
        return f"{one(words['who'])} {ask}" if kind in {3, 5} else one(words["frame"]).format(a=ask)

    def document(self) -> str:
        """Return sentences of a document that holds no instructions to a model."""
        lines = self._random.sample(T.documents, self._random.randrange(3, 9))
        return self._one(["\n", " ", "\n\n"]).join(lines)

    def instruction(self) -> str:
        """Return a sentence that has no business in a document."""
        one = self._one
        if self._random.random() < 0.2:
            return self.question()
        if self._random.random() < 0.4:
            return self._action(one(T.more_actions))
        return one(T.embedded).format(v=one(T.verbs), r=one(T.replies), e=one(T.encoded), m=one(T.mentions), g=one(T.actions))

    def _action(self, text: str) -> str:
        one = self._one
        names = ["Amy", "Eve", "John Doe", "Mr. Brown", "Li Wei", "Mallory"]
        more = {
            "P": one(names),
            "o": one(T.holdings),
            "b": one(["savings", "main", "bank"]),
            "f": one(["report.txt", "backup.zip", "notes.md"]),
        }
        more |= {"m": str(self._random.randrange(100, 9000)), "e": one(T.mails), "r": one(T.phrases), "u": one(T.urls)}
        return text.format(a=f"{one(T.actions)}.", **more)

    @staticmethod
    def _spaced(then: str) -> str:
        return then if then[0] in ".,;" else f" {then}"

    def _cased(self, text: str) -> str:
        return text[0].upper() + text[1:] if self._random.random() < 0.8 else text
