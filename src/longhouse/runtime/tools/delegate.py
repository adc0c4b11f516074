"""The built-in tool `task_run`: an agent gives a piece of its work to a sub-agent of another post.

The sub-agent is an agent with a journal of its own; how it is opened, narrowed and waited for is in
`delegation`. Running it again after a crash goes on with the same sub-agent.
"""

from __future__ import annotations

from longhouse.runtime.tools.base import ToolContext, tool


# It does nothing by itself: each call of the sub-agent is judged by both posts.
@tool(reads_only=True, repeatable=True, parallel=True, timeout=None, subject="post")
async def task_run(ctx: ToolContext, post: str, prompt: str) -> str:
    """Give a piece of work to a sub-agent of the named post; its answer is the result.

    The sub-agent knows nothing of this conversation: say in `prompt` all that it needs. It works
    in your workspace and may do no more than you.
    """
    return await ctx.delegate(post, prompt)
