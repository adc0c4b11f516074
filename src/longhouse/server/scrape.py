"""`/metrics`: what this process has measured, as Prometheus reads it.

The queue and the parts of the house are looked at when somebody asks. It names no tenant, person or
agent; who may read it is a matter of a token, or of being on this machine.
"""

import ipaddress
import secrets

from fastapi import APIRouter, Request, Response
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from sqlalchemy.exc import DBAPIError

from longhouse.fleet import store
from longhouse.fleet.states import RunState
from longhouse.kit.errors import Forbidden, Unavailable
from longhouse.server.house import House
from longhouse.server.metrics import Metrics

router = APIRouter(tags=["house"])


class MetricsClosed(Forbidden):
    """Somebody who may not read what is measured."""

    code = "metrics-closed"

    def __init__(self) -> None:
        super().__init__(
            "Measurements are not open to you.",
            hint="Send LONGHOUSE_METRICS_TOKEN of the server as `Authorization: Bearer …`.",
        )


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def get_metrics(request: Request) -> Response:
    """What this process has measured, in the text format of Prometheus."""
    house: House = request.app.state.house
    _require_access(request, house)
    await _look(house, house.metrics)
    return Response(generate_latest(house.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _require_access(request: Request, house: House) -> None:
    token = house.settings.metrics_token
    if token is None:
        if not _is_here(request):
            raise MetricsClosed
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    wanted = token.get_secret_value()
    if scheme.lower() != "bearer" or not secrets.compare_digest(given.encode(), wanted.encode()):
        raise MetricsClosed


def _is_here(request: Request) -> bool:
    """Whether the request comes from this machine and not through a proxy on it."""
    if request.client is None or "x-forwarded-for" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


async def _look(house: House, metrics: Metrics) -> None:
    """Bring up to date what is not measured as it happens."""
    report = house.bus.describe()
    metrics.up.labels("bus").set(report.connected)
    for way, count in (("sent", report.sent), ("heard", report.heard), ("missed", report.missed)):
        metrics.bus.labels(way).set(count)
    metrics.busy.set(house.executor.busy)
    metrics.slots.set(house.settings.worker_slots if house.works else 0)
    await _look_at_queue(house, metrics)


async def _look_at_queue(house: House, metrics: Metrics) -> None:
    metrics.queued.clear()
    metrics.leased.clear()
    try:
        lengths = await house.database.read(store.lengths)
    except (Unavailable, DBAPIError):
        metrics.up.labels("database").set(0)
        return
    metrics.up.labels("database").set(1)
    for (kind, state), count in lengths.items():
        gauge = metrics.queued if state is RunState.QUEUED else metrics.leased
        gauge.labels(kind).set(count)
