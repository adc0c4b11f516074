"""The seccomp filter of a sandboxed command, assembled here: no libseccomp is needed.

`program(machine)` gives the BPF program as bytes, the way `bwrap --seccomp FD` reads it. It is a
pure function of the machine's name; nothing is installed here.

What it refuses: new namespaces and mounts, tracing other processes, the kernel interfaces with the
worst record (io_uring, bpf, perf, userfaultfd, keyrings), typing into the terminal, and every
socket that is neither UNIX, nor TCP, nor a look at the routing table. All else is allowed: the
namespaces around the command are the wall, this makes the kernel behind it smaller.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# struct seccomp_data: what a filter may look at, by offset. Both machines are little-endian, so the
# low half of a 64-bit argument comes first.
_NR = 0
_ARCH = 4
_ARGUMENT = 16  # and 8 for each further one

# The instructions used, from linux/bpf_common.h.
_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_JUMP_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

# Answers, from linux/seccomp.h.
ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
ERRNO = 0x00050000  # the error number in the low half

CLONE_NEW = 0x7E020000  # every CLONE_NEW* flag that clone(2) takes
X32_BIT = 0x40000000  # set in the numbers of x86's third system call table

TIOCSTI = 0x5412  # types into a terminal
TIOCLINUX = 0x541C  # pastes into a console

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
SOCK_STREAM = 1
SOCK_SEQPACKET = 5
SOCK_TYPE_MASK = 0xF  # without SOCK_NONBLOCK and SOCK_CLOEXEC
IPPROTO_TCP = 6
NETLINK_ROUTE = 0  # getifaddrs(3) asks it; changing anything needs a capability

# Not permitted: name -> number on x86_64, on aarch64 (None: it has no such call).
_FORBIDDEN: Mapping[str, tuple[int | None, int | None]] = {
    # namespaces and mounts
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    # wide kernel interfaces
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "fanotify_init": (300, 262),
    "open_by_handle_at": (304, 265),
    "syslog": (103, 116),
    # the machine itself
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "vhangup": (153, 58),
}

# Answered with ENOSYS, so that programs fall back to what they did before these calls existed:
# clone3's flags lie behind a pointer that a filter cannot follow.
_ABSENT: Mapping[str, tuple[int | None, int | None]] = {
    "clone3": (435, 435),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}

# Not permitted where there are no namespaces around the command (`alone`): what Landlock does not
# see, and what a user may do to processes and files of their own.
_FORBIDDEN_ALONE: Mapping[str, tuple[int | None, int | None]] = {
    # files by their path; by descriptor they are within what Landlock lets the command open
    "chown": (92, None),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    # other processes of the same user
    "setpriority": (141, 140),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    "process_madvise": (440, 440),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # memory and queues that the whole machine shares
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    # names of foreign files
    "inotify_add_watch": (254, 27),
}

# Answered with success and not done, likewise where the command is alone. Landlock sees none of
# them, so they could change foreign files; refused, they would break git, tar and many others.
_PRETENDED_ALONE: Mapping[str, tuple[int | None, int | None]] = {
    "chmod": (90, None),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Machine:
    arch: int  # AUDIT_ARCH_*, what the kernel says of the caller
    column: int  # in the two tables above
    clone: int
    socket: int
    ioctl: int
    socketpair: int
    prlimit64: int
    utimensat: int
    x32: bool  # has the x32 table, whose numbers would slip past a comparison


MACHINES: Mapping[str, _Machine] = {
    "x86_64": _Machine(
        arch=0xC000003E,
        column=0,
        clone=56,
        socket=41,
        ioctl=16,
        socketpair=53,
        prlimit64=302,
        utimensat=280,
        x32=True,
    ),
    "aarch64": _Machine(
        arch=0xC00000B7,
        column=1,
        clone=220,
        socket=198,
        ioctl=29,
        socketpair=199,
        prlimit64=261,
        utimensat=88,
        x32=False,
    ),
}
"""The machines a filter can be made for, by the name `uname -m` gives them."""


@dataclass(frozen=True, slots=True)
class _Step:
    """One instruction; jumps name labels and are resolved at the end. None: the next one."""

    code: int
    value: int
    then: str | None = None
    otherwise: str | None = None


def program(machine: str, *, alone: bool = False) -> bytes:
    """The filter for `machine`, ready for the kernel. Raises `KeyError` for an unknown machine.

    `alone`: no namespaces stand around the command. Then there are no sockets at all, and nothing
    of what a user may do to their own other processes and files.
    """
    return _assemble(_source(MACHINES[machine], alone=alone))


def _source(machine: _Machine, *, alone: bool) -> list[tuple[str, list[_Step]]]:
    """The filter as labelled blocks; each block falls through to the next."""
    permitted = errno.EPERM
    forbidden = {**_FORBIDDEN, **(_FORBIDDEN_ALONE if alone else {})}
    numbers = {name: row[machine.column] for name, row in forbidden.items()}
    pretended = {name: row[machine.column] for name, row in _PRETENDED_ALONE.items() if alone}
    absent = {name: row[machine.column] for name, row in _ABSENT.items()}
    start = [
        _Step(_LOAD, _ARCH),
        _Step(_JUMP_EQUAL, machine.arch, otherwise="kill"),
        _Step(_LOAD, _NR),
    ]
    if machine.x32:
        start.append(_Step(_JUMP_AT_LEAST, X32_BIT, then="absent"))
    return [
        ("start", start),
        (
            "numbers",
            [
                _Step(_JUMP_EQUAL, machine.clone, then="clone"),
                *(_alone(machine) if alone else ()),
                *(_Step(_JUMP_EQUAL, nr, then="pretended") for nr in _known(pretended)),
                _Step(_JUMP_EQUAL, machine.socket, then="socket"),
                _Step(_JUMP_EQUAL, machine.ioctl, then="ioctl"),
                *(_Step(_JUMP_EQUAL, nr, then="forbidden") for nr in _known(numbers)),
                *(_Step(_JUMP_EQUAL, nr, then="absent") for nr in _known(absent)),
                _Step(_RETURN, ALLOW),
            ],
        ),
        (
            "clone",
            [
                _Step(_LOAD, _argument(0)),
                _Step(_JUMP_ANY_BIT, CLONE_NEW, then="forbidden", otherwise="allow"),
            ],
        ),
        (
            "ioctl",
            [
                _Step(_LOAD, _argument(1)),
                _Step(_JUMP_EQUAL, TIOCSTI, then="forbidden"),
                _Step(_JUMP_EQUAL, TIOCLINUX, then="forbidden", otherwise="allow"),
            ],
        ),
        (
            "socket",
            [
                _Step(_LOAD, _argument(0)),
                _Step(_JUMP_EQUAL, AF_UNIX, then="allow"),
                _Step(_JUMP_EQUAL, AF_INET, then="inet"),
                _Step(_JUMP_EQUAL, AF_INET6, then="inet"),
                _Step(_JUMP_EQUAL, AF_NETLINK, then="netlink", otherwise="family"),
            ],
        ),
        (
            "inet",
            [
                _Step(_LOAD, _argument(1)),
                _Step(_AND, SOCK_TYPE_MASK),
                _Step(_JUMP_EQUAL, SOCK_STREAM, otherwise="forbidden"),
                _Step(_LOAD, _argument(2)),
                _Step(_JUMP_EQUAL, 0, then="allow"),
                _Step(_JUMP_EQUAL, IPPROTO_TCP, then="allow", otherwise="forbidden"),
            ],
        ),
        (
            "netlink",
            [
                _Step(_LOAD, _argument(2)),
                _Step(_JUMP_EQUAL, NETLINK_ROUTE, then="allow", otherwise="family"),
            ],
        ),
        (
            # Connected ones only: a datagram socket of a pair can be sent to any address.
            "pair",
            [
                _Step(_LOAD, _argument(1)),
                _Step(_AND, SOCK_TYPE_MASK),
                _Step(_JUMP_EQUAL, SOCK_STREAM, then="allow"),
                _Step(_JUMP_EQUAL, SOCK_SEQPACKET, then="allow", otherwise="forbidden"),
            ],
        ),
        (
            "prlimit",
            [
                _Step(_LOAD, _argument(0)),
                _Step(_JUMP_EQUAL, 0, then="allow", otherwise="forbidden"),
            ],
        ),
        (
            # Without a path it sets the times of an open file.
            "utimensat",
            [
                _Step(_LOAD, _argument(1)),
                _Step(_JUMP_EQUAL, 0, otherwise="pretended"),
                _Step(_LOAD, _argument(1) + 4),
                _Step(_JUMP_EQUAL, 0, then="allow", otherwise="pretended"),
            ],
        ),
        ("allow", [_Step(_RETURN, ALLOW)]),
        ("forbidden", [_Step(_RETURN, ERRNO | permitted)]),
        ("pretended", [_Step(_RETURN, ERRNO)]),
        ("absent", [_Step(_RETURN, ERRNO | errno.ENOSYS)]),
        ("family", [_Step(_RETURN, ERRNO | errno.EAFNOSUPPORT)]),
        ("kill", [_Step(_RETURN, KILL_PROCESS)]),
    ]


def _alone(machine: _Machine) -> list[_Step]:
    return [
        _Step(_JUMP_EQUAL, machine.socket, then="forbidden"),
        _Step(_JUMP_EQUAL, machine.socketpair, then="pair"),
        _Step(_JUMP_EQUAL, machine.prlimit64, then="prlimit"),
        _Step(_JUMP_EQUAL, machine.utimensat, then="utimensat"),
    ]


def _known(numbers: Mapping[str, int | None]) -> list[int]:
    return sorted(number for number in numbers.values() if number is not None)


def _argument(index: int) -> int:
    return _ARGUMENT + 8 * index


def _assemble(blocks: Sequence[tuple[str, list[_Step]]]) -> bytes:
    """Resolve the labels: BPF jumps forward only, by at most 255 instructions."""
    labels: dict[str, int] = {}
    steps: list[_Step] = []
    for label, block in blocks:
        labels[label] = len(steps)
        steps += block

    def distance(label: str | None, origin: int) -> int:
        return 0 if label is None else labels[label] - origin - 1

    return b"".join(
        struct.pack(
            "<HBBI", step.code, distance(step.then, at), distance(step.otherwise, at), step.value
        )
        for at, step in enumerate(steps)
    )
