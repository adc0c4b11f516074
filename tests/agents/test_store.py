"""What the store of agents does besides its statements."""

import subprocess
import sys

# Four threads that meet the same dataclass for the first time, in a process that only just began.
READERS = """
import sys, threading
from longhouse.agents.store import posts as store
from longhouse.runtime.posts import Post

learnt = hasattr(Post, "__msgspec_cache__")
document = {"name": "Engineer", "limits": {"steps": 1}, "permissions": {"rules": []}}
sys.setswitchinterval(1e-6)
together = threading.Barrier(4)
posts = []

def read():
    together.wait()
    posts.append(store.definition_of(document))

threads = [threading.Thread(target=read) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(learnt, len(posts))
"""


def test_threads_that_read_their_first_posts_at_the_same_moment_do_not_crash() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", READERS], capture_output=True, text=True, check=False
    )

    assert (ran.returncode, ran.stdout.split()) == (0, ["True", "4"]), ran.stderr
