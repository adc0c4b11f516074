"""How the house is: `/health` names every part, `/info` what runs here. Open to everybody.

Neither tells paths, addresses or versions of anything but Longhouse. A part is asked each time, so
that what stopped shows at the next question and what came back as well.
"""

import asyncio
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from longhouse import __version__
from longhouse.kit.errors import LonghouseError
from longhouse.server.house import House

PATIENCE = 2.0
"""Seconds a part may take to answer before it counts as not working."""

SILENCE = 15.0
"""Seconds after which an executor that has not seen the queue counts as stopped: it looks every
two, and what stopped has to show within thirty.
"""

Status = Literal["ok", "degraded"]


class Check(BaseModel):
    """One part of the house."""

    status: Status
    detail: str = ""


class ApplicationCheck(Check):
    """The process itself."""

    version: str
    environment: str
    uptime_seconds: int


class SandboxCheck(Check):
    """What protects this machine from the commands of agents."""

    layer: str


class Checks(BaseModel):
    """Every part by its name."""

    application: ApplicationCheck
    database: Check
    bus: Check
    sandbox: SandboxCheck
    device: Check


class Health(BaseModel):
    """How the house is: degraded when any part is."""

    status: Status
    checks: Checks


class Info(BaseModel):
    """What runs here."""

    name: str = "longhouse"
    version: str = __version__
    environment: str


router = APIRouter(tags=["house"])


@router.get("/health")
async def get_health(request: Request, response: Response) -> Health:
    """How every part is; 503 when nothing can be stored, so that a load balancer goes elsewhere."""
    house: House = request.app.state.house
    checks = Checks(
        application=_application(house),
        database=await _database(house),
        bus=_bus(house),
        sandbox=_sandbox(house),
        device=_device(house),
    )
    parts = (checks.database, checks.bus, checks.sandbox, checks.device)
    well = all(part.status == "ok" for part in parts)
    if checks.database.status != "ok":
        response.status_code = 503
    return Health(status="ok" if well else "degraded", checks=checks)


@router.get("/info")
async def get_info(request: Request) -> Info:
    """What runs here."""
    house: House = request.app.state.house
    return Info(environment=house.environment)


def _application(house: House) -> ApplicationCheck:
    uptime = house.clock.monotonic() - house.opened_at
    return ApplicationCheck(
        status="ok",
        version=__version__,
        environment=house.environment,
        uptime_seconds=int(uptime),
    )


async def _database(house: House) -> Check:
    try:
        async with asyncio.timeout(PATIENCE):
            await house.database.read(_ask)
    except TimeoutError:
        return Check(status="degraded", detail=f"No answer within {PATIENCE:g} s.")
    except LonghouseError as error:
        return Check(status="degraded", detail=error.detail)
    except DBAPIError:
        return Check(status="degraded", detail="The database refuses a simple question.")
    return Check(status="ok", detail=house.database.dialect)


def _ask(conn: Connection) -> None:
    conn.execute(text("SELECT 1")).scalar_one()


def _bus(house: House) -> Check:
    """Without its carrier the house works on; what other processes do shows late."""
    report = house.bus.describe()
    if report.connected:
        return Check(status="ok", detail=report.name)
    return Check(status="degraded", detail=f"{report.name} does not answer.")


def _sandbox(house: House) -> SandboxCheck:
    report = house.sandbox.describe()
    status: Status = "ok" if report.protects else "degraded"
    return SandboxCheck(status=status, layer=report.name, detail=report.detail)


def _device(house: House) -> Check:
    if not house.works:
        return Check(status="ok", detail="Runs are executed by other processes.")
    silent = house.executor.silent_for
    if silent is None:
        return Check(status="degraded", detail="No runs are executed yet.")
    if silent > SILENCE:
        return Check(status="degraded", detail=f"The queue has been silent for {silent:.0f} s.")
    busy, slots = house.executor.busy, house.settings.worker_slots
    return Check(status="ok", detail=f"local: {busy} of {slots} places busy")
