from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crdtsync import Replica
from crdtsync.cli.board import Board
from crdtsync.cli.server_process import ServerProcess, local_url
from crdtsync.errors import TransportError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as Unix has them")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start servers as a program would, and leave none behind."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "crdtsync.cli", "serve", "--data", tmp_path / "server.db"]
        process = subprocess.Popen(
            [str(part) for part in (*command, *arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


async def exchange(url: str) -> None:
    """Let two replicas meet at a server."""
    with Replica(user="ann") as ann, Replica(user="bob") as bob:
        hers, his = ann.document(Board, "party"), bob.document(Board, "party")
        hers.name_board("Garden party")
        async with ann.connect(url) as one, bob.connect(url) as other:
            await one.synced()
            await other.synced()
        assert his.to_dict() == hers.to_dict()
        assert his.name == "Garden party"


class TestServe:
    @pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
    def test_stops_cleanly_when_told(self, serve, tmp_path, which):
        process = serve("--listen", f"unix://{tmp_path}/s")
        assert process.stdout.readline() == f"unix://{tmp_path}/s\n"
        process.send_signal(which)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (0, "")
        assert err.startswith("development mode: ")

    def test_prints_each_address_with_its_real_port(self, serve, tmp_path):
        process = serve("--listen", "tcp://127.0.0.1:0", "--listen", f"unix://{tmp_path}/s")
        lines = {process.stdout.readline().strip(), process.stdout.readline().strip()}
        assert f"unix://{tmp_path}/s" in lines
        [tcp] = [line for line in lines if line.startswith("tcp://127.0.0.1:")]
        assert int(tcp.rpartition(":")[2]) > 0

    @pytest.mark.parametrize("scheme", ["tcp", "ws"])
    async def test_serves(self, serve, scheme):
        process = serve("--listen", f"{scheme}://127.0.0.1:0")
        await exchange(process.stdout.readline().strip())

    def test_says_where_its_pages_are(self, serve):
        process = serve("--listen", "ws://127.0.0.1:0")
        page = process.stdout.readline().strip().replace("ws", "http", 1)
        process.terminate()
        _, err = process.communicate(timeout=30)
        assert f"to look at: {page}inspect and {page}demo\n" in err

    async def test_all_addresses_are_one_server(self, serve, tmp_path):
        wanted = ["ws://127.0.0.1:0", "tcp://127.0.0.1:0", f"ws+unix://{tmp_path}/s"]
        process = serve(*(part for url in wanted for part in ("--listen", url)))
        urls = [process.stdout.readline().strip() for _ in wanted]
        with Replica(user="ann") as ann:
            ann.document(Board, "party").name_board("Garden party")
            async with ann.connect(urls[0]) as connection:
                await connection.synced()
        for url in urls:
            with Replica(user="bob") as bob:
                his = bob.document(Board, "party")
                async with bob.connect(url) as connection:
                    await connection.synced()
                assert his.name == "Garden party"
        process.terminate()
        assert process.wait(30) == 0
        assert not (tmp_path / "s").exists()

    @pytest.mark.parametrize(
        ("arguments", "code", "word"),
        [
            (["--listen", "wss://127.0.0.1:0"], 3, "certificate"),
            (["--listen", "tls://127.0.0.1:0"], 3, "--tls-cert"),
            (["--tls-key", __file__], 2, "--tls-key needs --tls-cert"),
            (["--tls-cert", __file__], 2, "not a certificate with its key"),
            (["--listen", "ws://0.0.0.0:0"], 3, "development mode"),
        ],
    )
    def test_certificates_it_does_not_take(self, serve, arguments, code, word):
        process = serve(*arguments)
        _, err = process.communicate(timeout=30)
        assert process.returncode == code
        assert word in err
        assert "Traceback" not in err

    @pytest.mark.parametrize(
        ("url", "word"),
        [
            ("tcp://0.0.0.0:0", "development mode"),
            ("http://localhost", "known are"),
            ("nonsense", "nonsense"),
            ("unix:///no/such/folder/s", "/no/such/folder/s"),
        ],
    )
    def test_addresses_it_does_not_take(self, serve, url, word):
        process = serve("--listen", url)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (3, "")
        assert err.count("\n") == 2  # the first says that this is development mode
        assert word in err

    def test_an_address_that_is_taken(self, serve, tmp_path):
        first = serve("--listen", "tcp://127.0.0.1:0")
        url = first.stdout.readline().strip()
        second = serve("--listen", url, "--data", tmp_path / "other.db")
        _, err = second.communicate(timeout=30)
        assert second.returncode == 3
        assert "Traceback" not in err

    def test_a_file_that_another_server_has(self, serve, tmp_path):
        first = serve("--listen", f"unix://{tmp_path}/one")
        first.stdout.readline()
        _, err = serve("--listen", f"unix://{tmp_path}/two").communicate(timeout=30)
        assert "another process has this store open" in err

    def test_a_file_that_is_no_servers(self, serve, store):
        _, err = serve("--data", store, "--listen", "tcp://127.0.0.1:0").communicate(timeout=30)
        assert "the store of a replica, not of a server" in err

    def test_wants_a_file(self, run):
        assert run("serve").exit_code == 2


class TestServerProcess:
    async def test_keeps_its_data_and_its_address_when_killed(self, tmp_path):
        with (
            Replica(user="ann") as ann,
            ServerProcess(tmp_path / "server.db", local_url(tmp_path)) as server,
        ):
            ann.document(Board, "party").name_board("Garden party")
            async with ann.connect(server.url) as connection:
                await connection.synced()
            url = server.url
            server.kill()
            server.start()
            assert server.url == url
            with Replica(user="bob") as bob:
                his = bob.document(Board, "party")
                async with bob.connect(url) as connection:
                    await connection.synced()
                assert his.name == "Garden party"

    def test_says_why_it_did_not_start(self, tmp_path):
        (tmp_path / "server.db").write_text("not a store" * 1000)
        with pytest.raises(TransportError, match="not a crdtsync store"):
            ServerProcess(tmp_path / "server.db", local_url(tmp_path)).start()

    def test_a_long_path_is_served_by_tcp(self, tmp_path):
        assert local_url(tmp_path / ("x" * 100)).startswith("tcp://127.0.0.1:")
        assert local_url(tmp_path).startswith("unix://")
