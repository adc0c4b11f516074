"""A chat server: every user talks with an agent of their own, live, and finds it again tomorrow.

    python examples/chat_server.py        # then open the address it prints, with #your-name

It needs `longhouse[server]`. A real one asks its sign-in, and not the address, who somebody is.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import Body, FastAPI, Header
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

import longhouse.runtime as lh
from longhouse.protocol.events import encode_delta, encode_event

HELPER = lh.Post(name="helper", prompt="You help. Be brief.", tools=("todo_read", "todo_write"))
models = lh.EnvironmentModels(lh.ModelEnvironment.from_env())
runtime = lh.Runtime(journal=lh.SQLiteJournal("chats.db"), models=models, posts=[HELPER])


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with runtime:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/users/{user}/messages", status_code=202)
async def send(user: str, text: Annotated[str, Body(embed=True)]) -> str:
    agent = await runtime.agent(f"user:{user}", post="helper")
    return await agent.send(text, sender=user)


@app.get("/users/{user}/stream", response_class=EventSourceResponse)
async def stream(
    user: str, last_event_id: Annotated[int, Header()] = 0
) -> AsyncIterator[ServerSentEvent]:
    agent = await runtime.agent(f"user:{user}", post="helper")
    async for event in agent.subscribe("progress", since=last_event_id, deltas=True):
        if isinstance(event, lh.Delta):
            yield ServerSentEvent(event="delta", raw_data=encode_delta(event).decode())
        else:
            yield ServerSentEvent(id=str(event.seq), raw_data=encode_event(event).decode())


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(Path(__file__).with_suffix(".html"))


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")), timeout_graceful_shutdown=1)
