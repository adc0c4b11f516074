"""Ways out of a sandbox, as scripts: each prints ESCAPED when it gets out.

Run by `test_escapes`, inside the sandbox, where every one must fail; those marked `harmless` also
without one, where they must succeed: an attempt that cannot work proves nothing.

What a script may know is in its environment: SECRET_FILE, OTHER (the directory of another agent),
ABSENT (where a dangling link leads), PORT (TCP and UDP on the machine's loopback), SOCKET and
ABSTRACT (UNIX sockets of the machine), VICTIM and VICTIM_MARK (a process of the machine and a word
of its command line), SERVER_CWD and SERVER_HOME.
"""

from dataclasses import dataclass

SECRET = "s3cret-of-the-house"
VICTIM_MARK = "victim-of-the-house"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One way to get out."""

    name: str
    argv: tuple[str, ...]
    harmless: bool = False  # may run without a sandbox, and gets out there
    sight: bool = False  # only sees that something is there: Landlock does not hide that

    def __str__(self) -> str:
        return self.name


def _sh(name: str, script: str, *, harmless: bool = False, sight: bool = False) -> Attempt:
    argv = ("sh", "-c", f"{{ {script}\n}} 2>&1")
    return Attempt(name=name, argv=argv, harmless=harmless, sight=sight)


def _py(name: str, script: str, *, harmless: bool = False) -> Attempt:
    return Attempt(name=name, argv=("python3", "-c", _PRELUDE + script), harmless=harmless)


# `call(nr, …)` is syscall(2): the result, or an OSError. Numbers are (x86_64, aarch64).
_PRELUDE = """
import ctypes, errno, os, platform, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(numbers, *args):
    number = numbers[platform.machine() != "x86_64"] if isinstance(numbers, tuple) else numbers
    args = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    result = libc.syscall(ctypes.c_long(number), *args)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
"""

FILES = (
    _sh(
        "read the machine's /etc/passwd",
        "grep -q ^root: /etc/passwd && echo ESCAPED",
        harmless=True,
    ),
    _sh("read /etc/shadow", "grep -q ^root: /etc/shadow && echo ESCAPED"),
    _sh(
        "read a foreign file by its path",
        'grep -q s3cret "$SECRET_FILE" && echo ESCAPED',
        harmless=True,
    ),
    _sh(
        "cd .. to another agent",
        "cd ..; grep -q s3cret other/secret && echo ESCAPED",
        harmless=True,
    ),
    _sh(
        "read through a linked directory",
        "grep -q s3cret link-out/secret && echo ESCAPED",
        harmless=True,
    ),
    _sh("read through a linked file", "grep -q s3cret link-file && echo ESCAPED", harmless=True),
    _sh(
        "make a link and read through it",
        'ln -s "$SECRET_FILE" own; grep -q s3cret own && echo ESCAPED',
        harmless=True,
    ),
    _sh("write through a dangling link", "echo x > dangling"),
    _sh("write to another agent", 'echo x > "$OTHER/planted"'),
    _sh("hard-link a foreign file", 'ln "$SECRET_FILE" hard && echo ESCAPED', harmless=True),
    _sh(
        "rename the workspace away",
        'mv "$PWD" "$PWD-moved" && echo ESCAPED && mv "$PWD-moved" "$PWD"',
        harmless=True,
    ),
    _sh(
        "list the home of the server's user",
        """
cd "$SERVER_HOME" && for f in .bashrc .profile .ssh .gitconfig .config .cache
do [ -e "$f" ] && echo ESCAPED
done
""",
    ),
    _sh("read through /proc/1/root", 'grep -q s3cret "/proc/1/root$SECRET_FILE" && echo ESCAPED'),
    _sh(
        "read through any /proc/*/root",
        'for p in /proc/[0-9]*; do grep -q s3cret "$p/root$SECRET_FILE" && echo ESCAPED; done',
        harmless=True,
    ),
    _sh(
        "read through /proc/*/cwd",
        'for p in /proc/[0-9]*; do [ "$(readlink $p/cwd)" = "$SERVER_CWD" ] && echo ESCAPED; done',
        harmless=True,
    ),
    _sh("write to /usr", "touch /usr/bin/planted && rm /usr/bin/planted && echo ESCAPED"),
    _sh("write to /etc", "touch /etc/planted && rm /etc/planted && echo ESCAPED"),
    _sh("write to /", "touch /planted && rm /planted && echo ESCAPED"),
    _sh("make files in /dev", "echo x > /dev/planted && rm /dev/planted && echo ESCAPED"),
    _sh(
        "change the machine's core_pattern",
        "( : >> /proc/sys/kernel/core_pattern ) && echo ESCAPED",
    ),
    _sh(
        "change any of the machine's settings",
        "for f in $(find /proc/sys -type f); do ( : >> $f ) && echo ESCAPED; done 2>/dev/null",
    ),
    _sh(
        "write to sysrq-trigger",
        "[ -e /proc/sysrq-trigger ] && ( : >> /proc/sysrq-trigger ) && echo ESCAPED",
    ),
    _sh(
        "look at the machine's devices",
        """
for d in /dev/vda /dev/sda /dev/nvme0n1 /dev/mem /dev/kmsg /dev/fuse /dev/kvm /dev/vsock
do [ -e $d ] && echo ESCAPED
done
""",
        sight=True,
    ),
    _sh(
        "open the machine's devices",
        """
for d in /dev/vda /dev/sda /dev/nvme0n1 /dev/mem /dev/kmsg /dev/fuse /dev/kvm /dev/vsock
do ( : < $d ) && echo ESCAPED
done
""",
    ),
    _sh(
        "find /sys or a control group",
        "[ -e /sys/kernel ] || [ -e /sys/fs/cgroup ] && echo ESCAPED",
        harmless=True,
        sight=True,
    ),
    _sh("read /sys", "ls /sys/* && echo ESCAPED", harmless=True),
    _sh(
        "read kernel memory or its log",
        """
head -c 16 /proc/kcore | grep -q . && echo ESCAPED
timeout 1 head -c 1 /proc/kmsg | grep -q . && echo ESCAPED
""",
    ),
    _py(
        "change the mode of a foreign file",
        """
os.chmod(os.environ["SECRET_FILE"], 0o777)
if os.stat(os.environ["SECRET_FILE"]).st_mode & 0o777 == 0o777: print("ESCAPED")
""",
        harmless=True,
    ),
    _py(
        "change the times of a foreign file",
        """
os.utime(os.environ["SECRET_FILE"], (0, 0))
if os.stat(os.environ["SECRET_FILE"]).st_mtime == 0: print("ESCAPED")
""",
        harmless=True,
    ),
    _py(
        "mark a foreign file",
        "os.setxattr(os.environ['SECRET_FILE'], 'user.planted', b'x'); print('ESCAPED')",
    ),
    _py(
        "watch a foreign directory",
        """
libc.inotify_add_watch.restype = ctypes.c_int
watch = libc.inotify_add_watch(libc.inotify_init(), os.environ["OTHER"].encode(), 0xfff)
if watch >= 0: print("ESCAPED")
""",
        harmless=True,
    ),
    _py(
        "read a file by its handle",
        """
class Handle(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_ubyte * 128)]
handle, mount = Handle(size=8, type=1), ctypes.c_int()
handle.data[0] = 2
here = os.open(".", os.O_RDONLY)
call((304, 265), here, ctypes.byref(handle), os.O_RDONLY)
print("ESCAPED")
""",
    ),
)

SECRETS = (
    _sh("read the environment", "env | grep -q s3cret && echo ESCAPED"),
    _sh("read /proc/1/environ", "grep -q . /proc/1/environ && echo ESCAPED"),
    _sh(
        "read every /proc/*/environ",
        "for p in /proc/[0-9]*; do grep -q s3cret $p/environ && echo ESCAPED; done",
    ),
    _sh("read the keys of the machine", "grep -q . /proc/keys && echo ESCAPED"),
    _py(
        "find an inherited descriptor",
        """
def of(pid):
    return {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
mine = {fd: link for fd, link in of("self").items() if not link.startswith("/proc/")}
if set(mine) != {"0", "1", "2"}: print("ESCAPED", mine)
if any("server" in link or "memfd" in link for link in mine.values()): print("ESCAPED", mine)
""",
    ),
)

PRIVILEGE = (
    _py("become root", "os.setuid(0); print('ESCAPED')", harmless=True),
    _py("take another user's groups", "os.setgroups([0]); print('ESCAPED')"),
    _sh(
        "have a capability",
        "grep Cap /proc/self/status | grep -qv 0000000000000000 && echo ESCAPED",
        harmless=True,
    ),
    _py(
        "gain privileges by a set-uid program",
        "if libc.prctl(39, 0, 0, 0, 0) != 1: print('ESCAPED')",
        harmless=True,
    ),
    _py(
        "make a device",
        """
import stat
os.mknod('disk', stat.S_IFBLK | 0o600, os.makedev(254, 0))
os.unlink('disk')
print('ESCAPED')
""",
    ),
    _py("chroot", "os.chroot('.'); print('ESCAPED')"),
    _sh("remount / writable", "mount -o remount,rw / && echo ESCAPED"),
    _py(
        "mount a file system",
        "os.mkdir('m'); call((165, 40), b'none', b'm', b'tmpfs', 0, 0); print('ESCAPED')",
    ),
    _py("mount by the new calls", "call(430, b'tmpfs', 0); print('ESCAPED')"),
    _py("clone a mount", "call(428, -100, b'/usr', 1); print('ESCAPED')"),
    _py("unmount what covers", "call((166, 39), b'/proc', 2); print('ESCAPED')"),
    _py("pivot the root", "call((155, 41), b'.', b'.'); print('ESCAPED')"),
    _py("make a user namespace", "call((272, 97), 0x10000000); print('ESCAPED')", harmless=True),
    _sh("make one by unshare(1)", "unshare -Ur true && echo ESCAPED", harmless=True),
    _py(
        "make one by clone",
        """
pid = call((56, 220), 0x10000000 | 17, 0, 0, 0, 0)
if pid == 0: os._exit(0)
print('ESCAPED')
""",
        harmless=True,
    ),
    _py(
        "make one by clone3",
        """
args = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, 17)
pid = call(435, ctypes.byref(args), 88)
if pid == 0: os._exit(0)
print('ESCAPED')
""",
        harmless=True,
    ),
    _py(
        "join PID 1's namespaces",
        "fd = os.open('/proc/1/ns/mnt', os.O_RDONLY); call((308, 268), fd, 0); print('ESCAPED')",
    ),
    _py("set the host name", "socket.sethostname('planted'); print('ESCAPED')"),
    _py(
        "set the clock",
        "import time; time.clock_settime(time.CLOCK_REALTIME, time.time()); print('ESCAPED')",
    ),
    _py(
        "raise its own limits",
        """
import resource
resource.setrlimit(resource.RLIMIT_DATA, (-1, -1))
resource.setrlimit(resource.RLIMIT_NPROC, (-1, -1))
print('ESCAPED')
""",
    ),
)

PROCESSES = (
    _sh("kill a process of the machine", 'kill -9 "$VICTIM" && echo ESCAPED'),
    _sh("kill all it can see", "kill -9 -1"),
    _py(
        "limit a process of the machine",
        """
import resource
resource.prlimit(int(os.environ["VICTIM"]), resource.RLIMIT_NOFILE, (64, 64))
print("ESCAPED")
""",
        harmless=True,
    ),
    _py(
        "slow a process of the machine",
        "os.setpriority(os.PRIO_PROCESS, int(os.environ['VICTIM']), 19); print('ESCAPED')",
        harmless=True,
    ),
    _py(
        "see a process of the machine",
        """
for pid in filter(str.isdigit, os.listdir("/proc")):
    if os.environ["VICTIM_MARK"].encode() in open(f"/proc/{pid}/cmdline", "rb").read():
        print("ESCAPED", pid)
""",
        harmless=True,
    ),
    _py("trace PID 1", "call((101, 117), 16, 1, 0, 0); print('ESCAPED')"),
    _py("be traced", "call((101, 117), 0, 0, 0, 0); print('ESCAPED')", harmless=True),
    _py(
        "read another process' memory",
        "call((310, 270), 1, 0, 0, 0, 0, 0); print('ESCAPED')",
        harmless=True,
    ),
    _py(
        "take another process' descriptor",
        "fd = os.pidfd_open(os.getppid()); call(438, fd, 0, 0); print('ESCAPED')",
        harmless=True,
    ),
    _py(
        "type into the terminal",
        """
import fcntl, pty, termios
m, s = pty.openpty()
os.setsid()
fcntl.ioctl(s, termios.TIOCSCTTY, 0)
fcntl.ioctl(s, termios.TIOCSTI, b'x')
print('ESCAPED')
""",
    ),
)

NETWORK = (
    _py(
        "reach the machine's loopback",
        "print('ESCAPED', socket.create_connection(('127.0.0.1', int(os.environ['PORT'])), 2))",
        harmless=True,
    ),
    _py(
        "reach it by IPv6",
        "print('ESCAPED', socket.create_connection(('::1', int(os.environ['PORT'])), 2))",
    ),
    _py(
        "open a UDP socket",
        """
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b'x', ('127.0.0.1', int(os.environ['PORT'])))
print('ESCAPED')
""",
        harmless=True,
    ),
    _py("open a raw socket", "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); print('ESCAPED')"),
    _py("open a packet socket", "socket.socket(17, socket.SOCK_RAW, 0x300); print('ESCAPED')"),
    _py(
        "open a netlink audit socket",
        "socket.socket(16, socket.SOCK_RAW, 9); print('ESCAPED')",
        harmless=True,
    ),
    _py(
        "open a netfilter socket",
        "socket.socket(16, socket.SOCK_RAW, 12); print('ESCAPED')",
        harmless=True,
    ),
    _py(
        "open a socket to the hypervisor", "socket.socket(40, socket.SOCK_STREAM); print('ESCAPED')"
    ),
    _py(
        "open a socket of the kernel's crypto",
        "socket.socket(38, socket.SOCK_SEQPACKET); print('ESCAPED')",
    ),
    _py(
        "open an MPTCP socket",
        "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262); print('ESCAPED')",
    ),
    _py(
        "connect to the internet",
        "socket.create_connection(('192.0.2.1', 443), 1); print('ESCAPED')",
    ),
    _sh(
        "see a network interface",
        "grep -v lo: /proc/net/dev | grep -q : && echo ESCAPED",
        harmless=True,
    ),
    _py(
        "reach a UNIX socket of the machine",
        "s = socket.socket(socket.AF_UNIX); s.connect(os.environ['SOCKET']); print('ESCAPED')",
        harmless=True,
    ),
    _py(
        "reach an abstract socket",
        """
s = socket.socket(socket.AF_UNIX)
s.connect('\\0' + os.environ['ABSTRACT'])
print('ESCAPED')
""",
        harmless=True,
    ),
    _sh(
        "find a socket of a service",
        """
find / -xdev -type s 2>/dev/null | grep -q . && echo ESCAPED
[ -e /var/run/postgresql ] || [ -e /run/docker.sock ] || [ -e /run/dbus ] && echo ESCAPED
""",
        sight=True,
    ),
)

KERNEL = (
    _py(
        "set up io_uring",
        "call(425, 1, ctypes.create_string_buffer(248)); print('ESCAPED')",
        harmless=True,
    ),
    _py(
        "load a BPF program",
        "call((321, 280), 0, ctypes.create_string_buffer(72), 72); print('ESCAPED')",
    ),
    _py(
        "watch by perf",
        """
b = ctypes.create_string_buffer(128)
b[0], b[4] = 1, 128
call((298, 241), b, 0, -1, -1, 0)
print('ESCAPED')
""",
        harmless=True,
    ),
    _py("handle page faults", "call((323, 282), 1); print('ESCAPED')"),
    _py("use a keyring", "call((250, 219), 0, -3, 1); print('ESCAPED')", harmless=True),
    _py(
        "add a key",
        "call((248, 217), b'user', b'planted', b'x', 1, -2); print('ESCAPED')",
        harmless=True,
    ),
    _py("request a key", "call((249, 218), b'user', b'planted', 0, 0); print('ESCAPED')"),
    _py("load another kernel", "call((246, 104), 0, 0, 0, 0); print('ESCAPED')"),
    _py("load a module", "call((175, 105), 0, 0, b''); print('ESCAPED')"),
    _py("read the kernel's log", "call((103, 116), 10, 0, 0); print('ESCAPED')", harmless=True),
    _py("call through the x32 table", "call(0x40000000 | 39); print('ESCAPED')"),
    _py("swap", "call((167, 224), b'x', 0); print('ESCAPED')"),
    _py("watch files of others", "call((300, 262), 0, 0); print('ESCAPED')", harmless=True),
)

RESOURCES = (
    _py(
        "fork without end",
        """
children = 0
try:
    while children < 2000:
        if os.fork() == 0:
            import signal; signal.pause()
        children += 1
except OSError:
    pass
print(children, "children")
if children > 64: print("ESCAPED")
os.kill(0, 9) if children > 64 else None
""",
    ),
    _py("take all memory", "x = bytearray(1 << 30); print('ESCAPED')"),
    _sh(
        "write an endless file",
        """
head -c 64M /dev/zero > big
[ $(stat -c %s big) -gt 33554432 ] && echo ESCAPED
rm -f big
""",
    ),
    _sh(
        "fill /tmp",
        """
[ $(stat -f -c "%S * %b" /tmp | { read -r a b c
echo $((a * c / 1048576))
}) -gt 1024 ] && echo ESCAPED
""",
        harmless=True,
        sight=True,
    ),
    _sh(
        "fill /dev/shm",
        """
[ $(stat -f -c "%S * %b" /dev/shm | { read -r a b c
echo $((a * c / 1048576))
}) -gt 256 ] && echo ESCAPED
""",
        sight=True,
    ),
    _py(
        "open files without end",
        "f = [os.open('/dev/null', 0) for _ in range(4096)]; print('ESCAPED')",
    ),
)

ATTEMPTS = (
    *FILES,
    *SECRETS,
    *PRIVILEGE,
    *PROCESSES,
    *NETWORK,
    *KERNEL,
    *RESOURCES,
)
