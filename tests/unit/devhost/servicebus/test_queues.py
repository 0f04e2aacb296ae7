"""A queue's laws, whatever is done to it in whatever order."""

import uuid

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from devhost.servicebus.frames import AmqpError
from devhost.servicebus.messages import Content, Message
from devhost.servicebus.queues import Queue
from devhost.servicebus.terms import Options, Outcome

OPTIONS = Options(lock_s=10, max_delivery_count=3, duplicate_window_s=30)


class Kept:
    """A journal in memory: what a restart would find."""

    def __init__(self):
        self.messages, self.ids = {}, {}

    def added(self, queue, message):
        assert (queue, message.sequence) not in self.messages
        self.changed(queue, message)

    def changed(self, queue, message):
        state = (message.state, message.deferred, message.delivery_count, message.enqueued_ms, message.expires_ms)
        self.messages[queue, message.sequence] = (message.content, state)

    def removed(self, queue, sequence):
        del self.messages[queue, sequence]

    def seen(self, queue, message_id, sequence, until_ms):
        self.ids[queue, message_id] = (sequence, until_ms)

    def unseen(self, queue, now_ms):
        self.ids = {key: value for key, value in self.ids.items() if key[0] != queue or value[1] > now_ms}


class Taker:
    """A receiver that takes one message when it is told to."""

    def __init__(self, queue):
        self.queue, self.credit, self.held = queue, 0, {}
        queue.consumers.append(self)

    def wants(self):
        return self.credit > 0

    def deliver(self, message):
        self.credit -= 1
        lock = self.queue.lock(message)
        assert message.content.message_id not in {each.content.message_id for each, _ in self.held.values()}, "two hold it at once"
        self.held[lock.token] = (message, lock.until_ms)

    def take(self):
        self.credit = 1
        self.queue.pump()
        self.credit = 0


class Machine(RuleBasedStateMachine):
    """Every message that was put is in exactly one place, until it was completed; the journal knows the same."""

    def __init__(self):
        super().__init__()
        self.now_ms = 1_000_000
        self.kept, self.completed, self.names = Kept(), set(), 0
        self.queue = self.make()
        self.taker = Taker(self.queue)

    def make(self):
        return Queue("jobs", OPTIONS, self.kept, lambda: self.now_ms)

    @rule(ttl_s=st.sampled_from([0, 0, 5, 40]), later_s=st.sampled_from([0, 0, 15]))
    def put(self, ttl_s, later_s):
        self.names += 1
        content = Content({}, b"", str(self.names), ttl_s * 1000, self.now_ms + later_s * 1000 if later_s else 0)
        self.queue.put(content)

    @precondition(lambda self: self.names)
    @rule()
    def put_again(self):
        before = len(self.queue)
        known = self.kept.ids.get(("jobs", str(self.names)))
        number = self.queue.put(Content({}, b"", str(self.names)))
        if known and known[1] > self.now_ms:
            assert (number, len(self.queue)) == (known[0], before)
        else:  # its time is over: it is a message like any other
            self.queue.cancel([number])
            (again,) = self.queue.peek(number, 1)
            self.queue.forget(again)

    @rule()
    def take(self):
        self.taker.take()

    @precondition(lambda self: self.taker.held)
    @rule(outcome=st.sampled_from(Outcome))
    def settle(self, outcome):
        token, (message, until_ms) = next(iter(self.taker.held.items()))
        del self.taker.held[token]
        done = self.queue.settle(token, outcome, "reason")
        assert done == (until_ms > self.now_ms), "a lock holds exactly until its end"
        assert not self.queue.settle(token, outcome), "nothing is settled twice"
        if done and outcome is Outcome.COMPLETE:
            self.completed.add(message.content.message_id)

    @precondition(lambda self: self.taker.held)
    @rule()
    def renew(self):
        token, (message, until_ms) = next(iter(self.taker.held.items()))
        renewed = self.queue.renew(token)
        assert renewed == (self.now_ms + 10_000 if until_ms > self.now_ms else None)
        if renewed:
            self.taker.held[token] = (message, renewed)

    @rule(seconds=st.sampled_from([1, 6, 11, 31]))
    def pass_time(self, seconds):
        self.now_ms += seconds * 1000
        self.queue.run_due()
        self.taker.held = {token: held for token, held in self.taker.held.items() if held[1] > self.now_ms}

    @rule()
    def restart(self):
        last, dead = self.queue.last_sequence, self.queue.dead_letters.last_sequence
        kept, self.kept = self.kept, Kept()
        self.queue = self.make()
        self.queue.last_sequence, self.queue.dead_letters.last_sequence = last, dead
        self.kept.messages, self.kept.ids = dict(kept.messages), dict(kept.ids)
        for (_, message_id), known in sorted(kept.ids.items(), key=lambda each: each[1][1]):
            self.queue.remember(message_id, *known)
        for (queue, sequence), (content, (state, deferred, count, enqueued_ms, expires_ms)) in sorted(kept.messages.items()):
            target = self.queue if queue == "jobs" else self.queue.dead_letters
            target.restore(Message(sequence, content, enqueued_ms, state, deferred, count, expires_ms))
        self.taker = Taker(self.queue)
        self.queue.run_due()

    @invariant()
    def everything_is_somewhere_once(self):
        here = [each.content.message_id for queue in (self.queue, self.queue.dead_letters) for each in queue.peek(0, 10_000)]
        assert sorted([*here, *self.completed], key=int) == [str(number + 1) for number in range(self.names)]

    @invariant()
    def the_journal_knows_the_same(self):
        known = {(queue.name, each.sequence): each for queue in (self.queue, self.queue.dead_letters) for each in queue.peek(0, 10_000)}
        assert known.keys() == self.kept.messages.keys()
        for key, each in known.items():
            assert self.kept.messages[key][1][:3] == (each.state, each.deferred, each.delivery_count)

    @invariant()
    def nobody_fails_more_often_than_allowed(self):
        assert all(each.delivery_count < 3 for each in self.queue.peek(0, 10_000))

    @invariant()
    def the_alarm_is_in_time(self):
        due = self.queue.next_due_ms()
        held = [until_ms for _, until_ms in self.taker.held.values()]
        assert not held or (due is not None and due <= min(held))


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_every_message_is_in_one_place_until_it_is_completed = Machine.TestCase


def test_deferred_messages_are_given_all_or_none():
    queue = Queue("jobs", Options(), Kept(), lambda: 1)
    queue.put(Content({}, b""))
    with pytest.raises(AmqpError) as caught:
        queue.deferred([1])
    assert caught.value.condition == "com.microsoft:message-not-found"


def test_a_lock_that_nobody_gave_settles_and_renews_nothing():
    queue = Queue("jobs", Options(), Kept(), lambda: 1)
    assert queue.settle(uuid.uuid4(), Outcome.COMPLETE) is False
    assert queue.renew(uuid.uuid4()) is None


def test_a_message_that_expired_under_a_lock_is_dead_once_it_is_given_back():
    now = [1]
    queue = Queue("jobs", Options(lock_s=10), Kept(), lambda: now[0])
    queue.put(Content({}, b"", ttl_ms=1_000))
    taker = Taker(queue)
    taker.take()
    now[0] = 2_000
    queue.run_due()
    assert len(queue) == 1
    (token,) = taker.held
    assert queue.settle(token, Outcome.ABANDON)
    assert (len(queue), len(queue.dead_letters)) == (0, 1)


def test_only_deliveries_that_failed_count():
    queue = Queue("jobs", Options(), Kept(), lambda: 1)
    queue.put(Content({}, b""))
    counts = []
    for outcome in (Outcome.RELEASE, Outcome.ABANDON, Outcome.ABANDON):
        taker = Taker(queue)
        taker.take()
        (token,) = taker.held
        queue.settle(token, outcome)
        counts.append(queue.peek(0, 1)[0].delivery_count)
    assert counts == [0, 1, 2]


def test_expired_messages_are_dropped_where_the_queue_says_so():
    now = [1]
    queue = Queue("jobs", Options(dead_letter_expired=False, default_ttl_s=1), Kept(), lambda: now[0])
    queue.put(Content({}, b""))
    now[0] = 1002
    queue.run_due()
    assert (len(queue), len(queue.dead_letters)) == (0, 0)
