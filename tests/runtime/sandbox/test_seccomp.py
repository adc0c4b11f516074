"""The filter, run by a small interpreter of the kernel's BPF: no sandbox is needed to read it."""

import errno
import struct

import pytest

from longhouse.runtime.sandbox import seccomp

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
I386 = 0x40000003
REFUSED = seccomp.ERRNO | errno.EPERM
ABSENT = seccomp.ERRNO | errno.ENOSYS
PRETENDED = seccomp.ERRNO  # success, and nothing done
NO_FAMILY = seccomp.ERRNO | errno.EAFNOSUPPORT

# name -> number on x86_64, on aarch64
CALLS = {
    "read": (0, 63),
    "execve": (59, 221),
    "socket": (41, 198),
    "clone": (56, 220),
    "clone3": (435, 435),
    "ioctl": (16, 29),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "ptrace": (101, 117),
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "kexec_load": (246, 104),
    "move_mount": (429, 429),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "socketpair": (53, 199),
    "prlimit64": (302, 261),
    "utimensat": (280, 88),
    "fchmodat": (268, 53),
    "fchmod": (91, 52),
    "shmget": (29, 194),
    "setpriority": (141, 140),
    "inotify_add_watch": (254, 27),
}

machines = pytest.mark.parametrize("machine", ["x86_64", "aarch64"])


def answer(
    machine: str, name: str, *arguments: int, arch: int | None = None, alone: bool = False
) -> int:
    """What the filter says of a call."""
    number = CALLS[name][0 if machine == "x86_64" else 1]
    return evaluate(
        seccomp.program(machine, alone=alone),
        struct.pack(
            "<IIQ6Q",
            number,
            AUDIT_ARCH[machine] if arch is None else arch,
            0,
            *arguments,
            *[0] * (6 - len(arguments)),
        ),
    )


def evaluate(program: bytes, data: bytes) -> int:
    steps = list(struct.iter_unpack("<HBBI", program))
    at, accumulator = 0, 0
    while True:
        code, then, otherwise, value = steps[at]
        at += 1
        match code:
            case 0x20:
                accumulator = struct.unpack_from("<I", data, value)[0]
            case 0x54:
                accumulator &= value
            case 0x15:
                at += then if accumulator == value else otherwise
            case 0x45:
                at += then if accumulator & value else otherwise
            case 0x35:
                at += then if accumulator >= value else otherwise
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(f"no such instruction: {code:#x}")


@machines
@pytest.mark.parametrize("name", ["read", "execve"])
def test_ordinary_calls_are_allowed(machine: str, name: str) -> None:
    assert answer(machine, name) == seccomp.ALLOW


@machines
@pytest.mark.parametrize(
    "name",
    [
        *("unshare", "setns", "mount", "move_mount", "ptrace", "bpf", "keyctl", "add_key"),
        *("request_key", "perf_event_open", "userfaultfd", "kexec_load"),
    ],
)
def test_dangerous_calls_are_not_permitted(machine: str, name: str) -> None:
    assert answer(machine, name) == REFUSED


@machines
@pytest.mark.parametrize(
    "name", ["clone3", "io_uring_setup", "io_uring_enter", "io_uring_register"]
)
def test_calls_with_a_fallback_seem_not_to_exist(machine: str, name: str) -> None:
    assert answer(machine, name) == ABSENT


@machines
@pytest.mark.parametrize("flag", [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x40000000])
def test_clone_makes_processes_and_threads_but_no_namespaces(machine: str, flag: int) -> None:
    thread = 0x3D0F00
    assert answer(machine, "clone", thread) == seccomp.ALLOW
    assert answer(machine, "clone", thread | flag) == REFUSED


@machines
@pytest.mark.parametrize(
    ("family", "kind", "protocol", "expected"),
    [
        (1, 1, 0, seccomp.ALLOW),  # unix stream
        (1, 2, 0, seccomp.ALLOW),  # unix datagram
        (2, 1, 0, seccomp.ALLOW),  # TCP
        (2, 1 | 0x80800, 6, seccomp.ALLOW),  # TCP, non-blocking and closed on exec
        (10, 1, 6, seccomp.ALLOW),  # TCP over IPv6
        (2, 1, 262, REFUSED),  # MPTCP
        (2, 1, 132, REFUSED),  # SCTP
        (2, 2, 0, REFUSED),  # UDP
        (10, 2, 17, REFUSED),  # UDP over IPv6
        (2, 3, 1, REFUSED),  # raw ICMP
        (16, 3, 0, seccomp.ALLOW),  # netlink route
        (16, 3, 9, NO_FAMILY),  # netlink audit
        (16, 3, 12, NO_FAMILY),  # netlink netfilter
        (17, 3, 768, NO_FAMILY),  # packet
        (40, 1, 0, NO_FAMILY),  # vsock
        (38, 5, 0, NO_FAMILY),  # the kernel's crypto
    ],
)
def test_sockets_are_unix_or_tcp(
    machine: str, family: int, kind: int, protocol: int, expected: int
) -> None:
    assert answer(machine, "socket", family, kind, protocol) == expected


@machines
@pytest.mark.parametrize(
    ("request_", "expected"),
    [(0x5412, REFUSED), (0x1_0000_5412, REFUSED), (0x541C, REFUSED), (0x5413, seccomp.ALLOW)],
)
def test_nothing_is_typed_into_the_terminal(machine: str, request_: int, expected: int) -> None:
    assert answer(machine, "ioctl", 0, request_) == expected


@machines
def test_a_call_of_another_architecture_ends_the_process(machine: str) -> None:
    assert answer(machine, "read", arch=I386) == seccomp.KILL_PROCESS


def test_the_x32_call_table_is_closed() -> None:
    data = struct.pack("<IIQ6Q", 0x40000000 | 272, AUDIT_ARCH["x86_64"], 0, *[0] * 6)

    assert evaluate(seccomp.program("x86_64"), data) == ABSENT


@machines
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("socket", (1, 1, 0), REFUSED),  # no UNIX socket
        ("socket", (2, 1, 0), REFUSED),  # no TCP
        ("socketpair", (1, 1 | 0x80000, 0), seccomp.ALLOW),  # connected
        ("socketpair", (1, 5, 0), seccomp.ALLOW),
        ("socketpair", (1, 2, 0), REFUSED),  # could be sent to anybody
        ("prlimit64", (0, 7), seccomp.ALLOW),  # its own
        ("prlimit64", (1, 7), REFUSED),
        ("utimensat", (3, 0), seccomp.ALLOW),  # of an open file
        ("utimensat", (3, 0x7F00_0000_0000), PRETENDED),  # by a path
        ("utimensat", (3, 0x1000), PRETENDED),
        ("fchmod", (3, 0o755), seccomp.ALLOW),
        ("fchmodat", (3, 0x1000), PRETENDED),
        ("shmget", (1, 4096), REFUSED),
        ("setpriority", (0, 1, 19), REFUSED),
        ("inotify_add_watch", (3, 0x1000), REFUSED),
        ("mount", (), REFUSED),
        ("clone3", (), ABSENT),
        ("read", (), seccomp.ALLOW),
    ],
)
def test_without_namespaces_less_is_allowed(
    machine: str, name: str, arguments: tuple[int, ...], expected: int
) -> None:
    assert answer(machine, name, *arguments, alone=True) == expected


def test_an_unknown_machine_has_no_filter() -> None:
    with pytest.raises(KeyError):
        seccomp.program("vax")
