"""The page's server: files, pictures, the WebSocket, and who may open it."""

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from kassette_host.shop import web
from kassette_host.shop.commands import Refusal
from kassette_host.shop.feed import Feed

WS = "ws://127.0.0.1:8080/ws"
ORIGIN = {"origin": "http://127.0.0.1:8080"}


class FakeTill:
    """Takes commands and refuses those that it is told to refuse."""

    def __init__(self):
        self.feed = Feed()
        self.feed.publish({"led": 0, "network": {"state": "up"}})
        self.done = []
        self.refuses = set()

    def post(self, command, refused):
        if command.name in self.refuses:
            refused(Refusal("no-power", "there is no power to cut"))
        else:
            self.done.append((command.name, command.args))
            self.feed.publish({"led": len(self.done)})

    def slip_png(self, number):
        return b"\x89PNG" if number == 7 else None


@pytest.fixture
def till():
    return FakeTill()


@pytest.fixture
def client(till):
    return TestClient(web.build_app(till), base_url="http://127.0.0.1:8080")


def test_the_page_and_its_parts_are_served(client):
    page = client.get("/")
    assert page.status_code == 200 and "Kassette" in page.text
    for name in sorted(path.name for path in web.PAGE.iterdir()):
        assert client.get("/" + name).status_code == 200, name
    assert client.get("/main.js").headers["content-type"].startswith("text/javascript")


def test_everything_that_the_page_names_exists(client):
    page = client.get("/").text
    for name in ("favicon.svg", "base.css", "devices.css", "cards.css", "books.css", "main.js"):
        assert '"%s"' % name in page
        assert client.get("/" + name).status_code == 200
    assert "http://" not in page and "https://" not in page and "//cdn" not in page


def test_the_page_may_load_nothing_from_elsewhere(client):
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy
    assert client.get("/").headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/../secret",
        "/%2e%2e/shop/office.py",
        "/slips/9.png",
        "/slips/-1.png",
        "/slips/x.png",
        "/slips/%s.png" % ("9" * 5000),
    ],
)
def test_what_is_not_there_is_not_served(client, path):
    assert client.get(path).status_code == 404


def test_slips_are_pictures(client):
    answer = client.get("/slips/7.png")
    assert answer.content == b"\x89PNG" and answer.headers["content-type"] == "image/png"


def test_another_host_name_is_refused(till):
    client = TestClient(web.build_app(till), base_url="http://evil.example:8080")
    assert client.get("/").status_code == 400


@pytest.mark.parametrize("origin", ["http://evil.example", "https://127.0.0.1:8080", "http://127.0.0.1:9", "null"])
def test_another_page_may_not_speak_to_the_till(client, origin):
    with pytest.raises(WebSocketDisconnect) as refusal, client.websocket_connect(WS, headers={"origin": origin}):
        pass
    assert refusal.value.code == 4403


def test_the_first_message_is_everything_and_then_what_changes(client, till):
    with client.websocket_connect(WS, headers=ORIGIN) as page:
        first = page.receive_json()["set"]
        assert first["network"] == {"state": "up"} and first["led"] == 0
        page.send_json({"cmd": "key_down", "key": "5"})
        changed = page.receive_json()["set"]
        assert changed == {"led": 1, "version": first["version"] + 1}
    assert till.done[0] == ("key_down", {"key": "5"})


def test_bad_commands_are_answered_with_a_code_and_change_nothing(client, till):
    with client.websocket_connect(WS, headers=ORIGIN) as page:
        page.receive_json()
        for message, code in (("{", "not-json"), ('{"cmd": "x"}', "unknown-command"), ('{"cmd": "plug"}', "bad-field")):
            page.send_text(message)
            assert page.receive_json()["error"]["code"] == code
        page.send_bytes(b"\0\1")
        assert page.receive_json()["error"]["code"] == "not-json"
        till.refuses = {"plug"}
        page.send_json({"cmd": "plug", "state": "arm"})
        assert page.receive_json()["error"] == {"code": "no-power", "text": "there is no power to cut"}
    assert till.done == []


def test_a_page_that_goes_away_takes_its_fingers_off_the_keys(client, till):
    with client.websocket_connect(WS, headers=ORIGIN) as page:
        page.receive_json()
        for key in "57":
            page.send_json({"cmd": "key_down", "key": key})
            page.receive_json()
        page.send_json({"cmd": "key_up", "key": "7"})
        page.receive_json()
    assert till.done[-1] == ("key_up", {"key": "5"})
    assert sum(name == "key_up" for name, _ in till.done) == 2
