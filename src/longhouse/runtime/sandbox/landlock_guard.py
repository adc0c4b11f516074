"""The program that confines a command by Landlock and ends all that it started.

Run by `landlock` as a script, with nothing of Longhouse imported: it starts fast and stays small.

    guard (waits, is nobody's child but ours) ── the command, confined ── whatever it starts

Its input is a JSON document. It ends with the command's exit code, once every process that the
command started is gone: they are its children at last, as it is their subreaper. It ends them all
when the command ends, when its control pipe closes, and so also when the server dies.
"""

import base64
import ctypes
import json
import os
import resource
import select
import signal
import struct
import sys
import time
from typing import Any, NoReturn

# linux/landlock.h
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK, _TRUNCATE, _IOCTL_DEV = 1 << 6, 1 << 11, 1 << 14, 1 << 15
_ALL_FILES = (1 << 16) - 1
_ALL_NET = 3  # bind and connect TCP
_ALL_SCOPES = 3  # abstract UNIX sockets, signals
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_RIGHTS = {
    "read": _READ,
    "write": _ALL_FILES & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV),
    "device": _READ_FILE | _WRITE_FILE,
}

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 22, 36, 38
_SECCOMP_MODE_FILTER = 2
_ROUND_SECONDS = 0.002
_NOT_STARTED = 125

_libc = ctypes.CDLL(None, use_errno=True)


def abi() -> int:
    """The version of Landlock that this kernel has; 0: none."""
    return max(int(_libc.syscall(_CREATE_RULESET, None, 0, _VERSION)), 0)


def main(document: int, control: int, status: int) -> NoReturn:
    """Confine, run, end. The arguments are file descriptors."""
    with open(document, "rb") as file:
        config = json.load(file)
    _checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(control)
        _become(config, status, guard)
    os.close(status)
    code = _see_through(child, control)
    # _exit: nothing of the interpreter's own ending may stand in the way.
    os._exit(code)


def _become(config: dict[str, Any], status: int, guard: int) -> NoReturn:
    try:
        os.set_inheritable(status, False)
        _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        if os.getppid() != guard:
            os._exit(_NOT_STARTED)
        os.setsid()
        # Python ignores these two, and programs inherit that.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        os.chdir(config["cwd"])
        for name, value in config["limits"].items():
            _limit(getattr(resource, name), value)
        # The kernel counts all that this user runs.
        _limit(resource.RLIMIT_NPROC, _tasks_of_user() + config["processes"])
        _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _restrict(config["rules"])
        _filter(base64.b64decode(config["filter"]))
    except OSError as error:
        os.write(status, f"{error.filename or ''} {error.strerror}".strip().encode())
        os._exit(_NOT_STARTED)
    try:
        os.execvpe(config["argv"][0], config["argv"], config["env"])
    except OSError as error:
        os.write(2, f"{config['argv'][0]}: {error.strerror}\n".encode())
    os._exit(127)


def _restrict(rules: list[tuple[str, str]]) -> None:
    attributes = struct.pack("=QQQ", _ALL_FILES, _ALL_NET, _ALL_SCOPES)
    ruleset = _checked(_libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0))
    for path, kind in rules:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rights = _RIGHTS[kind]
        if not os.path.isdir(path):
            rights &= _OF_A_FILE
        rule = struct.pack("=Qi", rights, place)
        _checked(_libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0))
        os.close(place)
    _checked(_libc.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def _filter(program: bytes) -> None:
    buffer = ctypes.create_string_buffer(program, len(program))
    length = len(program) // 8
    header = struct.pack("@HP", length, ctypes.addressof(buffer))
    _checked(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0))


def _see_through(child: int, control: int) -> int:
    """Wait for the command's end or for the order to end it; its exit code."""
    process = os.pidfd_open(child)
    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.register(control, select.POLLIN | select.POLLHUP)
    poll.poll()
    return _end_all(child)


def _end_all(child: int) -> int:
    """Kill and collect every process below this one, until the kernel says there is none."""
    code = 128 + signal.SIGKILL
    over = _reaped(child)
    if over is not None:
        code = over
    while True:
        for pid in _descendants():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == child:
                    code = _code(ended[1])
        except ChildProcessError:
            return code
        time.sleep(_ROUND_SECONDS)


def _reaped(child: int) -> int | None:
    pid, status = os.waitpid(child, os.WNOHANG)
    return _code(status) if pid else None


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _descendants() -> list[int]:
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:  # it ended
                continue
            parents.setdefault(parent, []).append(int(name))
    found: list[int] = []
    front = [os.getpid()]
    while front:
        front = [pid for parent in front for pid in parents.get(parent, ())]
        found += front
    return found


def _tasks_of_user() -> int:
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.stat(f"/proc/{name}").st_uid == os.getuid():
                    count += len(os.listdir(f"/proc/{name}/task"))
            except OSError:  # it ended
                continue
    return count


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
