"""Decisions over SSE: an agent that asks before it writes, and a page to allow or deny it.

    python examples/approvals_over_sse.py        # then open the address it prints

It needs `longhouse[server]`. What waits for a decision waits over a restart, too: stop the program
while it asks, start it again, and the page shows the question again.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Literal

import uvicorn
from fastapi import FastAPI, Header, Request
from fastapi.responses import FileResponse, JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

import longhouse.runtime as lh
from longhouse.kit.errors import LonghouseError
from longhouse.protocol.events import encode_event

CAREFUL = lh.Post(
    name="careful",
    prompt="You keep the notes of a small project. Say plainly what you did.",
    tools=("fs_glob", "fs_read", "fs_write", "fs_edit"),
    permissions=lh.Permissions(
        mode=lh.Mode.ASK,
        rules=(lh.Rule(verdict=lh.Verdict.DENY, pattern="fs_*(.git/**)"),),
    ),
)
models = lh.EnvironmentModels(lh.ModelEnvironment.from_env())
runtime = lh.Runtime(journal=lh.SQLiteJournal("approvals.db"), models=models, posts=[CAREFUL])


class Message(BaseModel):
    text: str


class Decision(BaseModel):
    decision: Literal["allow", "deny"]
    note: str = ""
    by: str = ""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with runtime:
        await runtime.agent("project", post="careful")  # goes on with what it was doing
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/messages", status_code=202)
async def send(message: Message) -> str:
    return await (await runtime.agent("project")).send(message.text)


@app.get("/events", response_class=EventSourceResponse)
async def events(last_event_id: Annotated[int, Header()] = 0) -> AsyncIterator[ServerSentEvent]:
    agent = await runtime.agent("project")
    async for event in agent.subscribe("progress", "control", since=last_event_id):
        if isinstance(event, lh.Event):
            yield ServerSentEvent(id=str(event.seq), raw_data=encode_event(event).decode())


@app.post("/approvals/{call_id}", status_code=204)
async def decide(call_id: str, body: Decision) -> None:
    agent = await runtime.agent("project")
    await agent.decide(call_id, body.decision, note=body.note, by=body.by)


@app.exception_handler(LonghouseError)
async def refuse(request: Request, error: LonghouseError) -> JSONResponse:
    """Decided already, no such call, an empty message: what, and what to do."""
    return JSONResponse(error.problem(), error.status, media_type="application/problem+json")


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(Path(__file__).with_suffix(".html"))


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8001")), timeout_graceful_shutdown=1)
