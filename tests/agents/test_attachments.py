"""Pictures, documents and answers that have a shape, through the server's own house."""

import base64
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
import pytest
from tests.agents.conftest import Room
from tests.fixtures_server import add_user, calling

from longhouse.agents.errors import NoSuchAttachment
from longhouse.agents.models import Session
from longhouse.agents.service.posts import PostChanges
from longhouse.kit.errors import InvalidInput
from longhouse.protocol.events import Done, MessageReceived, PostFollowed
from longhouse.runtime.answers import FINAL_ANSWER
from longhouse.runtime.attachments import MEDIA_TYPES, Attachment
from longhouse.runtime.models.scripted import ScriptedModel, call, say
from longhouse.server.house import House

API = "/api/v1"
Json: TypeAlias = dict[str, Any]
PICTURE = Attachment(b"\x89PNG\r\n\x1a\n\x00\xff of a house", "Ein Häuschen.png")
LETTER = Attachment(b"%PDF-1.7 a letter", "letter.pdf")
SCHEMA: Json = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def done(bodies: Any, count: int = 1) -> bool:
    return sum(isinstance(body, Done) for body in bodies) == count


async def show(room: Room, session: Session, text: str, *attachments: Attachment) -> None:
    await room.sessions.send(
        room.principal, session.agent_id, session.id, text=text, attachments=attachments
    )


class TestInTheDatabase:
    async def test_a_model_is_shown_what_came_with_a_message_also_after_a_crash(
        self, room: Room
    ) -> None:
        session = await room.session()
        room.model = ScriptedModel([say("A house.")], media_types=MEDIA_TYPES)
        await room.start()
        await show(room, session, "What is this?", PICTURE)
        await room.until(session, done)
        await room.kill()

        room.model = ScriptedModel([say("Still.")], media_types=MEDIA_TYPES, record=True)
        await room.start()
        await show(room, session, "And this?", LETTER, PICTURE)
        bodies = await room.until(session, lambda bodies: done(bodies, 2))

        files = {one.attached.digest: one.data for one in (PICTURE, LETTER)}
        assert room.model.requests[0].files == files
        first, second = [body for body in bodies if isinstance(body, MessageReceived)]
        assert first.attachments == (PICTURE.attached,)
        assert second.attachments == (LETTER.attached, PICTURE.attached)
        stored = await room.sessions.attachment(
            room.principal, session.agent_id, session.id, PICTURE.attached.digest
        )
        assert (stored.attached, stored.data) == (PICTURE.attached, PICTURE.data)

    async def test_what_is_attached_goes_with_its_session(self, room: Room) -> None:
        session = await room.session()
        await show(room, session, "", PICTURE)
        other = await room.sessions.create(room.principal, session.agent_id)

        with pytest.raises(NoSuchAttachment):
            await room.sessions.attachment(
                room.principal, session.agent_id, other.id, PICTURE.attached.digest
            )
        await room.agents.delete(room.principal, session.agent_id)

        count = "SELECT count(*) FROM attachments"
        found = await room.database.read(lambda conn: conn.exec_driver_sql(count).scalar())
        assert found == 0

    async def test_an_answer_has_the_shape_that_its_message_asked_for(self, room: Room) -> None:
        session = await room.session()
        await room.start(call(FINAL_ANSWER, town="Rome"), call(FINAL_ANSWER, city="Rome"))

        await room.sessions.send(
            room.principal, session.agent_id, session.id, text="Where?", output=SCHEMA
        )
        bodies = await room.until(session, done)

        (ended,) = [body for body in bodies if isinstance(body, Done)]
        assert ended.answer == {"city": "Rome"}
        with pytest.raises(InvalidInput):
            await room.sessions.send(
                room.principal, session.agent_id, session.id, text="x", output={"type": "string"}
            )

    async def test_the_journal_tells_which_version_of_its_post_an_agent_follows(
        self, room: Room
    ) -> None:
        session = await room.session()
        await room.start(say("one"), say("two"), say("three"))
        await room.send(session, "first")
        await room.until(session, done)
        await room.send(session, "second")
        await room.until(session, lambda bodies: done(bodies, 2))
        agent = await room.agents.get(room.principal, session.agent_id)
        await room.posts.change(room.principal, agent.post_id, PostChanges(prompt="Be brief."))

        await room.send(session, "third")
        bodies = await room.until(session, lambda bodies: done(bodies, 3))

        followed = [body for body in bodies if isinstance(body, PostFollowed)]
        assert [(body.post, body.version) for body in followed] == [
            ("Engineer", 1),
            ("Engineer", 2),
        ]
        assert followed[0].digest != followed[1].digest
        assert room.model.requests[2].system == "Be brief."


class TestOverHttp:
    @pytest.fixture
    def database_template(self, sqlite_template: Path) -> Path:
        """SQLite alone: what depends on the kind of database is tested above."""
        return sqlite_template

    @pytest.fixture
    def house_sets(self) -> dict[str, object]:
        return {"max_attachment_bytes": 1024}

    async def test_it_goes_in_with_a_message_and_comes_out_as_what_it_is(
        self, admin: httpx2.AsyncClient
    ) -> None:
        address = await new_session(admin)

        sent = await admin.post(
            f"{address}/messages",
            json={"text": "", "attachments": [body(PICTURE, media_type="image/png"), body(LETTER)]},
        )
        assert sent.status_code == 202, sent.text
        events = (await admin.get(f"{address}/events")).json()["items"]
        picture, letter = next(e for e in events if e["type"] == "message")["attachments"]

        assert picture == {
            "digest": PICTURE.attached.digest,
            "media_type": "image/png",
            "size": len(PICTURE.data),
            "name": "Ein Häuschen.png",
        }
        shown = await admin.get(f"{address}/attachments/{picture['digest']}")
        assert shown.content == PICTURE.data
        assert shown.headers["content-type"] == "image/png"
        assert shown.headers["x-content-type-options"] == "nosniff"
        assert shown.headers["content-disposition"] == (
            "inline; filename*=UTF-8''Ein%20H%C3%A4uschen.png"
        )
        saved = await admin.get(f"{address}/attachments/{letter['digest']}")
        assert saved.headers["content-type"] == "application/pdf"
        assert saved.headers["content-disposition"].startswith("attachment; ")
        assert "default-src 'none'" in saved.headers["content-security-policy"]

    async def test_nobody_reaches_an_attachment_of_another_tenant_or_session(
        self, house: House, admin: httpx2.AsyncClient
    ) -> None:
        address = await new_session(admin)
        await admin.post(f"{address}/messages", json={"text": "x", "attachments": [body(PICTURE)]})
        elsewhere = await new_session(admin, "Grace")
        path = f"attachments/{PICTURE.attached.digest}"
        stranger = await add_user(house, "grace", tenant="elsewhere")

        assert (await admin.get(f"{address}/{path}")).status_code == 200
        other = await admin.get(f"{elsewhere}/{path}")
        assert (other.status_code, other.json()["code"]) == (404, "no-such-attachment")
        async with calling(house, stranger.access_token) as client:
            assert (await client.get(f"{address}/{path}")).status_code == 404
        async with calling(house) as nobody:
            assert (await nobody.get(f"{address}/{path}")).status_code == 401

    @pytest.mark.parametrize(
        ("attachment", "status", "code"),
        [
            ({"data": "not base64!"}, 422, "invalid-input"),
            ({"data": base64.b64encode(b"<svg/>").decode()}, 422, "not-attachable"),
            ({"data": base64.b64encode(PICTURE.data).decode(), "media_type": "image/gif"}, 422,
             "not-attachable"),
            ({"data": base64.b64encode(PICTURE.data + bytes(1024)).decode()}, 413,
             "attachment-too-large"),
        ],
    )  # fmt: skip
    async def test_what_cannot_be_attached_is_refused_and_nothing_is_sent(
        self, admin: httpx2.AsyncClient, attachment: Json, status: int, code: str
    ) -> None:
        address = await new_session(admin)

        refused = await admin.post(
            f"{address}/messages", json={"text": "look", "attachments": [attachment]}
        )

        assert (refused.status_code, refused.json()["code"]) == (status, code)
        assert (await admin.get(address)).json()["last_seq"] == 1

    async def test_a_message_without_words_and_files_and_an_output_that_is_none_are_refused(
        self, admin: httpx2.AsyncClient
    ) -> None:
        address = await new_session(admin)

        for message in ({"text": " "}, {"text": "x", "output": {"type": "array"}}):
            refused = await admin.post(f"{address}/messages", json=message)
            assert refused.status_code == 422


def body(attachment: Attachment, **more: str) -> Json:
    return {"data": base64.b64encode(attachment.data).decode(), "name": attachment.name, **more}


async def new_session(admin: httpx2.AsyncClient, name: str = "Ada") -> str:
    """The address of a session of a new agent."""
    post_id = (await admin.get(f"{API}/posts")).json()["items"][0]["id"]
    agent = await admin.post(f"{API}/agents", json={"name": name, "post_id": post_id})
    assert agent.status_code == 201, agent.text
    address = f"{API}/agents/{agent.json()['id']}/sessions"
    session = await admin.post(address)
    return f"{address}/{session.json()['id']}"
