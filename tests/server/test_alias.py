"""Aliases: canonical operations at other addresses, in other words."""

from typing import Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from longhouse.server.alias import Alias, alias_router

canonical = APIRouter()


class Order(BaseModel):
    dish: str
    count: int = 1


class Ordered(BaseModel):
    number: int
    text: str


@canonical.post("/tables/{table}/orders", status_code=201)
async def order(table: int, body: Order, loud: bool = False) -> Ordered:
    """Order something."""
    text = f"{body.count} {body.dish}"
    return Ordered(number=table, text=text.upper() if loud else text)


class OldOrder(BaseModel):
    what: str


class OldAnswer(BaseModel):
    done: str


async def from_old(body: OldOrder) -> Order:
    return Order(dish=body.what)


async def the_only_table() -> int:
    return 7


def old_answer(answer: Ordered) -> OldAnswer:
    return OldAnswer(done=f"{answer.number}: {answer.text}")


class Enveloped(APIRoute):
    """Puts every answer into another one."""

    def get_route_handler(self) -> Any:
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            answer = await inner(request)
            return JSONResponse({"data": bytes(answer.body).decode()}, answer.status_code)

        return handler


def calling(*aliases: Alias) -> httpx2.AsyncClient:
    app = FastAPI()
    app.include_router(alias_router(aliases, [canonical], tag="old"))
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://old.test")


async def test_an_alias_asks_for_what_the_operation_asks_for() -> None:
    same = Alias(method="POST", path="/order/{table}", operation=order, name="old_order")

    async with calling(same) as client:
        answer = await client.post("/order/3?loud=true", json={"dish": "soup", "count": 2})

    assert (answer.status_code, answer.json()) == (201, {"number": 3, "text": "2 SOUP"})


async def test_an_alias_has_its_own_words_for_parameters_and_answers() -> None:
    other = Alias(
        method="POST",
        path="/order",
        operation=order,
        name="old_order",
        given={"table": the_only_table, "body": from_old},
        answer=old_answer,
        status=200,
    )

    async with calling(other) as client:
        answer = await client.post("/order", json={"what": "soup"})
        refused = await client.post("/order", json={"dish": "soup"})
        document = (await client.get("/openapi.json")).json()

    assert (answer.status_code, answer.json()) == (200, {"done": "7: 1 soup"})
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "what"]
    described = document["paths"]["/order"]["post"]
    assert described["tags"] == ["old"]
    assert described["description"] == "Order something. As `order`."
    assert described["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith(
        "/OldOrder"
    )
    assert described["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith(
        "/OldAnswer"
    )


async def test_an_alias_may_have_an_envelope() -> None:
    enveloped = Alias(
        method="POST", path="/order/{table}", operation=order, name="o", route_class=Enveloped
    )

    async with calling(enveloped) as client:
        answer = await client.post("/order/3", json={"dish": "soup"})

    assert answer.status_code == 201
    assert answer.json() == {"data": '{"number":3,"text":"1 soup"}'}


async def test_an_alias_of_nothing_is_found_when_the_routes_are_made() -> None:
    async def other(table: int) -> None:
        """Not a route."""

    nothing = Alias(method="GET", path="/x", operation=other, name="x")
    strange = Alias(
        method="GET", path="/x", operation=order, name="x", given={"chair": the_only_table}
    )

    with pytest.raises(LookupError, match="other is no canonical operation"):
        alias_router([nothing], [canonical], tag="old")
    with pytest.raises(LookupError, match="'chair'"):
        alias_router([strange], [canonical], tag="old")
