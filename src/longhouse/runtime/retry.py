"""When a failed model call is tried again: a pure decision.

Called by the agent after each failed attempt. The errors' types say whether a retry can help
(`model`); this says how long to wait.
"""

from __future__ import annotations

from longhouse.runtime.model import ModelError, ModelUnavailable

ATTEMPTS = 5  # calls in all; with the waits below about 15 s, which outlasts a vendor's hiccup
FIRST_WAIT = 1.0  # seconds; doubles with each attempt
LONGEST_WAIT = 60.0  # seconds; a vendor that asks for more is not waited for


def wait_before_retry(error: ModelError, *, attempt: int, jitter: float) -> float | None:
    """Seconds to wait after attempt number `attempt` (1, 2 …) failed, or None to give up.

    `jitter`: a random number in [0, 1); it spreads retries of many agents by up to a quarter. The
    vendor's Retry-After is obeyed, never shortened.
    """
    if not isinstance(error, ModelUnavailable) or attempt >= ATTEMPTS:
        return None
    wait = FIRST_WAIT * 2.0 ** (attempt - 1)
    if error.retry_after is not None:
        wait = max(error.retry_after, 0.0)
        if wait > LONGEST_WAIT:
            return None
        return wait
    return wait * (1 + jitter / 4)
