"""Which datapath is chosen, what is told where the kernel's cannot be had, and what the kernel is asked."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest
from pyroute2 import NetlinkError

from shutdownlab.network import datapath
from shutdownlab.network.datapath import Choice, choose, kernel_obstacle
from shutdownlab.system.kernel import MachineCannot


class Kernel:
    """Answers generic netlink: `refusals` are the error numbers of each request in turn, 0 for none."""

    prid = 33

    def __init__(self, *refusals: int) -> None:
        self.refusals = iter(refusals)
        self.asked: list[bytes] = []

    def __call__(self) -> Kernel:
        return self

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        if code := next(self.refusals):
            raise NetlinkError(code, "refused")

    def bind(self, family: str, _message: object) -> None:
        assert family == "ovs_datapath"
        self._answer()

    def nlm_request(self, message: datapath._Datapath, **_: object) -> None:
        message.encode()
        self.asked.append(bytes(message.data[16:]))
        self._answer()


@pytest.fixture
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    made = Kernel(*request.param)
    monkeypatch.setattr(datapath, "GenericNetlinkSocket", made)
    yield made


WILLING, WITHOUT, FORBIDDING = (0, 0, 0), (errno.ENOENT,), (0, errno.EPERM)


@pytest.mark.parametrize(
    ("kernel", "wish", "chosen", "why"),
    [
        (WILLING, "auto", "kernel", "the kernel has it"),
        (WILLING, "kernel", "kernel", "as asked for"),
        (WILLING, "userspace", "userspace", "as asked for"),
        (WITHOUT, "auto", "userspace", "the kernel has no openvswitch"),
        (WITHOUT, "userspace", "userspace", "as asked for"),
        (FORBIDDING, "auto", "userspace", "the kernel allows its datapath only to the machine's root"),
    ],
    indirect=["kernel"],
)
def test_the_kernels_datapath_is_taken_where_it_can_be_had(
    kernel: Kernel, wish: datapath.Wish, chosen: str, why: str
) -> None:
    found = choose(wish)
    assert (found.name, found.wish, found.why) == (chosen, wish, why)
    assert found.datapath == {"kernel": "system", "userspace": "netdev"}[chosen]


@pytest.mark.parametrize("kernel", [WITHOUT, FORBIDDING, (0, errno.EINVAL)], indirect=True)
def test_a_kernel_datapath_that_is_asked_for_and_cannot_be_had_is_an_error(kernel: Kernel) -> None:
    with pytest.raises(MachineCannot) as caught:
        choose("kernel")
    assert caught.value.what == "use Open vSwitch's kernel datapath"
    assert caught.value.mend.endswith(", or omit `--datapath kernel`")


@pytest.mark.parametrize("kernel", [WILLING], indirect=True)
def test_the_kernel_is_asked_for_a_datapath_of_a_name_and_to_remove_it_again(kernel: Kernel) -> None:
    """linux/openvswitch.h: genlmsghdr, ovs_header, OVS_DP_ATTR_NAME (1) and OVS_DP_ATTR_UPCALL_PID (2)."""
    assert kernel_obstacle() is None
    name = bytes.fromhex("0e000100") + b"ovs-trial\0" + b"\0\0"
    new, delete = bytes.fromhex("01020000 00000000"), bytes.fromhex("02020000 00000000")
    assert kernel.asked == [new + name + bytes.fromhex("08000200 00000000"), delete + name]


def test_a_choice_is_called_what_its_users_call_it() -> None:
    assert Choice("system", "auto", "").name == "kernel"
