"""The emulated Service Bus's AMQP: against itself, against the SDK's own codec, and against noise."""

import contextlib
import uuid

import pytest
from azure.servicebus._pyamqp import _decode, _encode
from azure.servicebus._pyamqp.types import TYPE, VALUE, AMQPTypes
from hypothesis import given
from hypothesis import strategies as st

from devhost.servicebus import messages
from devhost.servicebus.codec import Array, DecodeError, Described, Symbol, Timestamp, Ubyte, Uint, Ulong, Ushort, decode, encode, span
from devhost.servicebus.frames import Attach, Disposition, Flow, Open, Transfer, read, write

LONG = st.integers(-(2**63), 2**63 - 1)
SCALARS = st.one_of(st.none(), st.booleans(), LONG, st.floats(allow_nan=False), st.text(max_size=300), st.binary(max_size=300), st.uuids())
VALUES = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=300) | st.dictionaries(st.text(max_size=9), below, max_size=9), max_leaves=20
)
TYPED = [
    (AMQPTypes.null, None),
    (AMQPTypes.boolean, True),
    (AMQPTypes.ubyte, 200),
    (AMQPTypes.ushort, 60_000),
    (AMQPTypes.uint, 0),
    (AMQPTypes.uint, 200),
    (AMQPTypes.uint, 2**32 - 1),
    (AMQPTypes.ulong, 0),
    (AMQPTypes.ulong, 200),
    (AMQPTypes.ulong, 2**64 - 1),
    (AMQPTypes.byte, -7),
    (AMQPTypes.short, -700),
    (AMQPTypes.int, -7),
    (AMQPTypes.int, -70_000),
    (AMQPTypes.long, -7),
    (AMQPTypes.long, -(2**60)),
    (AMQPTypes.float, 0.5),
    (AMQPTypes.double, 0.1),
    (AMQPTypes.timestamp, 1_790_000_000_000),
    (AMQPTypes.uuid, uuid.UUID(int=7)),
    (AMQPTypes.binary, b"x" * 300),
    (AMQPTypes.string, "ü" * 300),
    (AMQPTypes.symbol, "com.microsoft:renew-lock"),
]


def theirs(value):
    out = bytearray()
    _encode.encode_value(out, value)
    return bytes(out)


def read_by_them(data):
    return _decode._DECODE_BY_CONSTRUCTOR[data[0]](memoryview(data)[1:])[1]


@given(VALUES)
def test_what_is_written_is_read_again_to_its_end(value):
    data = encode(value)
    assert decode(b"pre" + data + b"post", 3) == (value, 3 + len(data))
    assert span(data, 0) == len(data)


@given(VALUES.filter(lambda value: value is not None))
def test_the_sdk_reads_what_we_write(value):
    def as_bytes(found):
        if isinstance(found, str):
            return found.encode()
        if isinstance(found, list):
            return [as_bytes(each) for each in found]
        return {as_bytes(key): as_bytes(each) for key, each in found.items()} if isinstance(found, dict) else found

    assert as_bytes(read_by_them(encode(value))) == as_bytes(value)


@pytest.mark.parametrize(("kind", "value"), TYPED)
def test_we_read_what_the_sdk_writes(kind, value):
    assert decode(theirs({TYPE: kind, VALUE: value}))[0] == value


@pytest.mark.parametrize(
    ("value", "number"),
    [(Ubyte(255), 255), (Ushort(65_535), 65_535), (Uint(2**32 - 1), 2**32 - 1), (Ulong(2**64 - 1), 2**64 - 1), (Timestamp(5), 5)],
)
def test_the_sdk_reads_our_numbers_of_other_widths(value, number):
    assert read_by_them(encode(value)) == number == decode(encode(value))[0]


@pytest.mark.parametrize("length", range(248, 258))
def test_lists_and_maps_change_their_form_in_time(length):
    for value in (["x" * length], {"k": "x" * (length - 3)}, "x" * length, [None] * length):
        assert decode(encode(value)) == (value, len(encode(value)))


def test_arrays_are_read_by_both():
    for array in (Array(0x81, (1, -2)), Array(0x83, (3,)), Array(0xB3, ("a", "b"))):
        assert tuple(decode(encode(array))[0]) == array.items
        assert tuple(each.decode() if isinstance(each, bytes) else each for each in read_by_them(encode(array))) == array.items


@given(st.binary(max_size=200))
def test_noise_is_a_value_or_an_error_of_ours(data):
    try:
        _, end = decode(data)
        assert 0 < end <= len(data)
    except DecodeError:
        pass


@given(VALUES, st.data())
def test_a_value_that_is_cut_off_is_an_error(value, data):
    encoded = encode(value)
    with pytest.raises(DecodeError):
        decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


def test_a_value_that_is_nested_too_deeply_or_too_long_is_an_error():
    deep = b"\x40"
    for _ in range(40):
        deep = b"\xd0" + (len(deep) + 4).to_bytes(4) + (1).to_bytes(4) + deep
    with pytest.raises(DecodeError, match="deep"):
        decode(deep)
    with pytest.raises(DecodeError, match="many"):
        decode(b"\xf0" + (5).to_bytes(4) + (2**32 - 1).to_bytes(4) + b"\x40")


PERFORMATIVES = [
    Open("id", "host", 65_536, 255, 30_000),
    Attach("name", 3, True, 0, 1, Described(Ulong(0x28), ["jobs"]), Described(Ulong(0x29), [None]), initial_delivery_count=0),
    Flow(1, handle=0, delivery_count=5, link_credit=10, drain=True),
    Transfer(1, 7, b"t" * 16, 0, False, True),
    Disposition(True, 3, 9, True, Described(Ulong(0x24), [])),
]


@pytest.mark.parametrize("performative", PERFORMATIVES)
def test_frames_are_read_as_they_were_written_by_us_and_by_the_sdk(performative):
    payload = b"payload" if isinstance(performative, Transfer) else b""
    data = write(performative, 7, payload)
    assert int.from_bytes(data[:4]) == len(data)
    frame = read(data)
    assert (frame.channel, frame.performative, frame.payload) == (7, performative, payload)
    code, fields = _decode.decode_frame(memoryview(data)[8:])
    assert code == data[10]
    if payload:
        assert bytes(fields[-1]) == payload


def damaged(data, draw):
    """Return the bytes with some of them changed, and perhaps the rest cut off."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
    return bytes(changed[: draw(st.integers(8, len(changed)))])


@given(st.sampled_from(PERFORMATIVES), st.data())
def test_a_damaged_frame_is_an_error_of_ours(performative, data):
    with contextlib.suppress(DecodeError):
        read(damaged(write(performative, 7, b"payload"), data.draw))


SENT = [
    Described(Ulong(0x70), [True, None, Uint(5_000)]),
    Described(Ulong(0x72), {"x-opt-partition-key": Symbol("p"), "x-opt-sequence-number": 99}),
    Described(Ulong(0x73), ["id"]),
    Described(Ulong(0x74), {"ubyte": Ubyte(5), "DeadLetterReason": "old"}),
    Described(Ulong(0x75), b"body"),
]


def test_a_message_keeps_what_its_sender_wrote_and_nothing_of_what_only_the_service_may_say():
    content = messages.read(b"".join(map(encode, SENT)))
    assert (content.message_id, content.ttl_ms) == ("id", 5_000)
    assert content.annotations == {"x-opt-partition-key": encode(Symbol("p"))}
    assert content.bare == b"".join(map(encode, SENT[2:]))


def test_a_dead_letter_keeps_the_types_of_its_properties_and_says_the_last_reason():
    message = messages.Message(1, messages.read(b"".join(map(encode, SENT))), 0)
    dead = messages.dead(message, "jobs", "new", "")
    assert encode("ubyte") + encode(Ubyte(5)) in dead.bare
    assert dead.bare.endswith(encode(SENT[4]))
    read_again = messages.dead(messages.Message(1, dead, 0), "jobs", "newer", "why")
    assert b"newer" in read_again.bare
    assert b"old" not in read_again.bare
    assert dead.ttl_ms == 0


@given(st.sampled_from([messages.read, messages.batched]), st.data())
def test_a_damaged_message_is_an_error_of_ours(reads, data):
    with contextlib.suppress(DecodeError):
        reads(damaged(b"".join(map(encode, SENT)), data.draw))
