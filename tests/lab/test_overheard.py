"""A box beside the path is given both directions in the order in which they came, whichever socket is read first."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from functools import partial

import pytest
from cables import Cables
from switches import until

from shutdownlab.box.overheard import Overheard
from shutdownlab.inspection.verdict import Side
from shutdownlab.system.packet_socket import Batch, open_wire

_OURS = b"\x88\xb5"
"""An EtherType for experiments (IEEE Std 802): nobody else sends any."""


class Box:
    """Two stamped wires, and whoever is at their other ends."""

    def __init__(self, cables: Cables) -> None:
        left, middle, right = cables.netns(), cables.netns(), cables.netns()
        cables.veth(left, "sub", middle, "in")
        cables.veth(middle, "out", right, "net")
        self.senders = {Side.INSIDE: open_wire(left, "sub"), Side.OUTSIDE: open_wire(right, "net")}
        self.wires = tuple(open_wire(middle, name, stamped=True) for name in ("in", "out"))
        self.overheard = Overheard(self.wires)

    def send(self, side: Side, *numbers: int) -> None:
        for number in numbers:
            self.senders[side].send_frame(b"\x02" * 12 + _OURS + number.to_bytes(2, "big") + bytes(46))

    def hear(self, most: int = 1000) -> list[tuple[Side, int]]:
        """What is given out at once, of what was sent here."""
        taken = [(side, batch.load(number)[0]) for side, batch, number in self.overheard.take(most)]
        return [(side, int.from_bytes(data[14:16], "big")) for side, data in taken if data[12:14] == _OURS]

    def close(self) -> None:
        for wire in (*self.senders.values(), *self.wires):
            wire.close()


@pytest.fixture
def box() -> Iterator[Box]:
    with Cables() as cables:
        made = Box(cables)
        yield made
        made.close()


def test_what_waits_at_both_sides_is_given_out_in_the_order_in_which_it_came(box: Box) -> None:
    sides = [Side.OUTSIDE, Side.INSIDE, Side.INSIDE, Side.OUTSIDE, Side.INSIDE, Side.OUTSIDE, Side.OUTSIDE]
    said = list(zip(itertools.islice(itertools.cycle(sides), 300), range(300), strict=False))
    for side, number in said:
        box.send(side, number)
    heard: list[tuple[Side, int]] = []

    def all_is_heard() -> bool:
        heard.extend(box.hear())
        return len(heard) >= len(said)

    until("all has been heard", all_is_heard)
    assert heard == said


def test_an_answer_is_not_given_out_before_the_question_that_came_after_the_side_was_read(box: Box) -> None:
    box.send(Side.OUTSIDE, 1)
    until("the first has come", lambda: box.hear(1) == [(Side.OUTSIDE, 1)])  # the inside was read, and is empty
    box.send(Side.INSIDE, 2)
    box.send(Side.OUTSIDE, 3)
    heard: list[tuple[Side, int]] = []

    def both() -> bool:
        heard.extend(box.hear(1))
        return len(heard) == 2

    until("both have come", both)
    assert heard == [(Side.INSIDE, 2), (Side.OUTSIDE, 3)]


def test_frames_that_were_read_but_not_taken_are_reported_as_waiting(box: Box) -> None:
    assert not box.overheard.waits

    def one_of_several() -> bool:
        box.send(Side.INSIDE, *range(5))
        return bool(box.hear(1)) and box.overheard.waits

    until("one is given out, of several that were read", one_of_several)
    until("all are given out", lambda: not box.hear() and not box.overheard.waits)


def test_the_time_of_the_last_frame_taken_is_known_while_others_wait(box: Box) -> None:
    box.send(Side.INSIDE, 1)
    between = time.time_ns()
    box.send(Side.OUTSIDE, 2)
    until("the first is given out", lambda: box.hear(1) == [(Side.INSIDE, 1)])
    assert 0 < box.overheard.latest_ns <= between
    assert not box.overheard.drained
    until("the second is given out", lambda: box.hear(1) == [(Side.OUTSIDE, 2)])
    assert between <= box.overheard.latest_ns <= time.time_ns()
    assert not box.overheard.drained
    until("nothing is there", lambda: not box.hear(1))
    assert box.overheard.drained


def test_a_vlan_tag_survives_beside_the_time_at_which_a_frame_came(box: Box) -> None:
    tagged = b"\x02" * 12 + b"\x81\x00\x61\x23" + _OURS + bytes(48)
    box.senders[Side.INSIDE].send_frame(tagged)
    heard: list[bytes] = []

    def came() -> bool:
        heard.extend(batch.frame(number) for _, batch, number in box.overheard.take())
        return tagged in heard

    until("the tagged frame has come", came)


def test_a_wire_is_stamped_from_its_first_frame_on() -> None:
    """Linux begins to stamp a moment after it is asked, and ends when nobody asks any more: each round begins anew."""
    batch = Batch(stamped=True)
    with Cables() as cables:
        left, right = cables.netns(), cables.netns()
        cables.veth(left, "near", right, "far")
        sender = open_wire(left, "near")
        for _ in range(10):
            wire = open_wire(right, "far", stamped=True)
            sender.send_frame(b"\x02" * 12 + _OURS + bytes(48))
            sent = time.time_ns()
            time.sleep(0.002)  # what is stamped when it is read is stamped later than this
            until("it has come", partial(batch.read, wire))
            assert batch.came_ns(batch.count - 1) <= sent
            wire.close()
            time.sleep(0.05)  # it ends by the same work queue
        sender.close()
