"""The live page's server, as a browser, and whoever would like to be one, meets it. Real requests over the loopback."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

import shutdownlab as sl
from shutdownlab.config.problems import BadInput
from shutdownlab.results.run import Run
from shutdownlab.web.run_source import FinishedRun
from shutdownlab.web.server import PageServer, Place, guests_of, place_of

pytest.importorskip("starlette", reason="no Starlette: pip install 'shutdownlab[web]'")
from starlette.concurrency import run_in_threadpool

from shutdownlab.web.app import ANSWERS_AT_ONCE, answered

connect = pytest.importorskip("websockets.sync.client", reason="no websockets: pip install 'shutdownlab[web]'").connect
InvalidStatus = pytest.importorskip("websockets.exceptions").InvalidStatus

ORDER = {"do": "start", "name": "blackout"}


class Site:
    """Where the page is, and its two links' paths."""

    def __init__(self, server: PageServer) -> None:
        parts = {guest.steers: urlsplit(link) for guest, link in server.links.items()}
        self.host, self.steer, self.follow = parts[True].netloc, parts[True].path, parts[False].path

    def ask(
        self, path: str, method: str = "GET", body: Any = None, **headers: str | None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content; a header that is None is left out."""
        given: dict[str, str | None] = {"Host": self.host} | {
            n.replace("_", "-"): value for n, value in headers.items()
        }
        connection = http.client.HTTPConnection(self.host, timeout=60)
        connection.putrequest(method, path, skip_host=True)
        for name, value in given.items():
            if value is not None:
                connection.putheader(name, value)
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content

    def order(self, path: str, body: Any = ORDER, **headers: str | None) -> int:
        own: dict[str, str | None] = {"Origin": f"http://{self.host}", "Content_Type": "application/json"}
        return self.ask(f"{path}order", "POST", body, **{**own, **headers})[0]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("web") / "run"
    sl.verify("first-shutdown").write(folder)
    return Run.open(folder)


@pytest.fixture(scope="module")
def site(run: Run) -> Iterator[Site]:
    source = FinishedRun(run)
    with PageServer(source, Place(), guests_of(Place(), steers=True)) as server:
        source.start()
        yield Site(server)
        source.end()


def test_a_link_opens_the_page_and_all_that_it_loads(site: Site) -> None:
    status, headers, page = site.ask(site.follow)

    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    for name in re.findall(r'(?:src|href)="(static/[^"]+)"', page.decode()):
        assert site.ask(site.follow + name)[0] == 200, name


@pytest.mark.parametrize("path", ["/", "/x/", "/events", "/x/events", "/static/page.js", "//"])
def test_without_a_token_there_is_nothing(site: Site, path: str) -> None:
    assert site.ask(path)[0] == 404


def test_a_token_with_its_last_letter_changed_is_none(site: Site) -> None:
    token = site.follow.strip("/")
    assert site.ask(f"/{token[:-1]}{'A' if token[-1] != 'A' else 'B'}/")[0] == 404
    assert site.ask(f"/{token}x/")[0] == 404


def test_another_name_that_leads_here_is_refused(site: Site) -> None:
    port = site.host.partition(":")[2]

    assert site.ask(site.follow, Host=f"evil.example:{port}")[0] == 421
    assert site.ask(site.follow, Host="127.0.0.1")[0] == 421
    assert site.ask(site.follow, Host=None)[0] in {400, 421}
    assert site.ask(site.follow, Host=f"localhost:{port}")[0] == 200


def test_what_another_site_asks_in_a_browser_is_refused(site: Site) -> None:
    assert site.ask(f"{site.follow}events", Origin="https://evil.example")[0] == 403
    assert site.ask(f"{site.follow}static/page.js", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == 403
    assert site.ask(site.follow, Origin="null")[0] == 403
    assert site.ask(site.follow, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200, (
        "a link was followed"
    )


def test_no_order_without_the_token_that_steers_and_the_pages_own_origin(site: Site) -> None:
    assert site.order(site.follow) == 403
    assert site.order(site.steer, Origin="https://evil.example") == 403
    assert site.order(site.steer, Origin=None) == 403
    assert site.order(site.steer, Content_Type="text/plain") == 409, "a run cannot be steered, whatever is said"
    assert site.order(site.steer) == 409


def test_a_follower_and_another_site_get_no_terminal(site: Site) -> None:
    own = f"http://{site.host}"
    for path, origin in ((site.follow, own), (site.steer, "https://evil.example"), (site.steer, None)):
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://{site.host}{path}terminal?node=x", origin=origin)
        assert refused.value.response.status_code == 403


def test_a_request_that_takes_too_long_is_reported_as_that_and_not_as_a_failure_of_the_server() -> None:
    def too_long() -> None:
        raise subprocess.TimeoutExpired(["curl"], 33.0)

    answer = asyncio.run(answered(too_long))
    assert (answer.status_code, json.loads(bytes(answer.body))) == (
        504, {"error": "not done within 33 s; try again"},
    )  # fmt: skip


def test_a_class_that_asks_the_country_all_at_once_keeps_nobody_from_the_page() -> None:
    done = threading.Event()

    async def everybody() -> tuple[int, list[int]]:
        turns = asyncio.Semaphore(ANSWERS_AT_ONCE)
        asked = [asyncio.ensure_future(answered(done.wait, turns)) for _ in range(60)]
        await asyncio.sleep(0)
        page = await asyncio.wait_for(run_in_threadpool(lambda: 42), 60)
        done.set()
        return page, [(await each).status_code for each in asked]

    assert asyncio.run(everybody()) == (42, [200] * 60)


def test_whatever_a_browser_says_that_it_has_seen_it_is_told_what_there_is(site: Site) -> None:
    for seen in ("x-1", f"x-{'9' * 5000}", "", "-", "x-\u0663"):
        connection = http.client.HTTPConnection(site.host, timeout=30)
        connection.request("GET", f"{site.follow}events", headers={"Last-Event-ID": seen.encode("utf-8")})
        answer = connection.getresponse()
        assert (answer.status, answer.readline().startswith(b"retry")) == (200, True)
        own = next(line for line in iter(answer.readline, b"") if line.startswith(b"id: ")).decode().strip()[4:]
        connection.close()
    connection = http.client.HTTPConnection(site.host, timeout=30)
    connection.request(
        "GET", f"{site.follow}events", headers={"Last-Event-ID": own.partition("-")[0] + "-" + "9" * 5000}
    )
    assert any(line.startswith(b"data: ") for line in iter(connection.getresponse().readline, b""))
    connection.close()


@pytest.mark.parametrize(
    "path",
    ["static/../app.py", "static/%2e%2e/app.py", "static//etc/passwd", "static/xterm/ORIGIN", "../../etc/passwd"],
)
def test_none_of_the_machines_files_can_be_had(site: Site, path: str) -> None:
    assert site.ask(site.steer + path)[0] == 404


def test_every_answer_forbids_what_the_page_does_not_need(site: Site) -> None:
    for path in (site.follow, f"{site.follow}static/page.js", f"{site.follow}cell", "/x/"):
        headers = site.ask(path)[1]
        assert "default-src 'none'; script-src 'self';" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer", "or the token would be told"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    page = site.ask(site.follow)[2].decode()
    assert not re.search(r"<script>|<script [^>]*>[^<]| on[a-z]+=", page), "its policy would not let it run"


def first_message(site: Site, path: str, **headers: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection(site.host, timeout=60)
    connection.request("GET", f"{path}events", headers={name.replace("_", "-"): text for name, text in headers.items()})
    answer = connection.getresponse()
    assert answer.getheader("content-type", "").startswith("text/event-stream")
    data = b""
    while not data.startswith(b"data: "):
        data = answer.readline()
    connection.close()
    found: dict[str, Any] = json.loads(data.removeprefix(b"data: "))
    return found


def test_the_page_is_fed_what_the_report_of_the_run_says(site: Site, run: Run) -> None:
    told: dict[str, Any] = {}
    for _ in range(50):  # the view may be made a moment after the state
        told = first_message(site, site.follow)["set"]
        if "view/top" in told:
            break
    report = sl.report(run).html

    assert told["state"]["kind"] == "replay"
    headline = re.search("<h1>(.*?)</h1>", report)
    assert headline and headline[1] in told["view/top"]
    assert [phase[0] for phase in told["view/data/phases"]] == [span.phase for span in run.phases]
    assert told["view/timeline"] in report


def test_a_cell_opens_on_why_it_came_out_so(site: Site) -> None:
    found = json.loads(
        site.ask(f"{site.follow}cell?phase=messenger&vantage=northnet/coast/ordinary&target=whatsapp&family=ipv4")[2]
    )

    assert found["why"]["policies"] == ["whatsapp-reset"]
    assert json.loads(site.ask(f"{site.follow}cell?phase=nonsense")[2]) == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("0.0.0.0", 0, 0), "the one address that others reach this machine by"),
        (("example.net", 0, 0), "an address of this machine"),
        (("127.0.0.1", 70_000, 0), "a port, or 0"),
        (("127.0.0.1", 0, -1), "a number up to 200"),
    ],
)
def test_a_place_that_is_none_is_refused_before_anything_is_built(given: tuple[str, int, int], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        place_of(*given)
    assert said in str(refused.value)


def test_a_port_that_is_taken_is_reported(run: Run, site: Site) -> None:
    taken = int(site.host.partition(":")[2])
    with pytest.raises(BadInput, match="where no server can listen"):
        PageServer(FinishedRun(run), Place(port=taken), ())


def test_each_student_has_a_link_of_their_own_and_none_steers() -> None:
    guests = guests_of(Place(students=3), steers=True)

    assert [guest.name for guest in guests] == ["teacher", "follower", "student 1", "student 2", "student 3"]
    assert [guest.steers for guest in guests] == [True, False, False, False, False]
    assert len({guest.token for guest in guests}) == 5


def test_students_may_steer_the_one_country_where_they_are_let() -> None:
    guests = guests_of(Place(students=2, role="steer"), steers=True)

    assert [(guest.name, guest.steers) for guest in guests] == [
        ("teacher", True), ("follower", False), ("student 1", True), ("student 2", True),
    ]  # fmt: skip


def test_what_students_may_do_is_nothing_without_students() -> None:
    with pytest.raises(BadInput, match="--students N as well"):
        place_of("127.0.0.1", 0, 0, "steer")
    with pytest.raises(BadInput, match="a port, or 0"):
        place_of("127.0.0.1", 65_530, 30, "own")


def test_thirty_viewers_at_once_are_all_told_of_a_change(site: Site, run: Run) -> None:
    source = FinishedRun(run)
    with PageServer(source, Place(), guests_of(Place(students=30), steers=False)) as server:
        viewers = []
        for link in server.links.values():
            connection = http.client.HTTPConnection(urlsplit(link).netloc, timeout=60)
            connection.request("GET", f"{urlsplit(link).path}events")
            viewers.append((connection, connection.getresponse()))
        source.board.post({"state": {"doing": "a change"}})
        for connection, answer in viewers:
            while b"a change" not in answer.readline():
                pass
            connection.close()
        source.board.post({"state": {"doing": "and nobody there"}})
    assert len(viewers) == 31


def test_who_watches_to_the_end_is_told_that_it_is_over_and_the_terminal_says_nothing_of_it(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """A browser that is not told tries again for ever; a stream that is cut leaves a traceback on the terminal."""
    source = FinishedRun(run)
    with PageServer(source, Place(), guests_of(Place(), steers=False)) as server:
        link = urlsplit(next(iter(server.links.values())))
        connection = http.client.HTTPConnection(link.netloc, timeout=60)
        connection.request("GET", f"{link.path}events")
        answer = connection.getresponse()
        source.board.post({"state": {"doing": "the last change"}})
        while b"the last change" not in answer.readline():
            pass
    rest = answer.read()
    connection.close()
    assert rest.endswith(b"event: over\ndata: over\n\n")
    assert caplog.records == []


def test_a_request_that_the_country_has_not_answered_when_the_page_closes_leaves_no_traceback(
    run: Run, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer_now = threading.Event(), threading.Event()

    def slow(*_: str) -> dict[str, str]:
        asked.set()
        answer_now.wait(60)
        return {}

    source = FinishedRun(run)
    monkeypatch.setattr(source, "cell", slow)
    with PageServer(source, Place(), guests_of(Place(), steers=False)) as server:
        link = urlsplit(next(iter(server.links.values())))
        connection = http.client.HTTPConnection(link.netloc, timeout=60)
        connection.request("GET", f"{link.path}cell?phase=blackout")
        assert asked.wait(60)
        threading.Timer(2.5, answer_now.set).start()  # later than the second that the server waits
    connection.close()
    assert [record.getMessage() for record in caplog.records] == []
