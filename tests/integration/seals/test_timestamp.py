"""Time stamps (RFC 3161) of checkpoints, by an authority that is not ours: OpenSSL's."""

from __future__ import annotations

import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from rqcron_events.conf import problems
from rqcron_events.models import CronSeal, SealProgress
from rqcron_events.seals.courier import deliver
from tests.sealing import fire, history, seal
from tests.system_packages import require

pytestmark = pytest.mark.django_db(transaction=True)

CONFIG = """
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
[tsa_cert]
extendedKeyUsage = critical, timeStamping
[tsa]
serial = {place}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
signer_cert = {place}/tsa.pem
signer_key = {place}/tsa.key
certs = {place}/ca.pem
"""


def openssl(*line: str, text: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *line], input=text, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the certificate of an authority, ``ca.pem``, and what it signs with."""
    require("openssl", is_installed=shutil.which("openssl") is not None)
    place = tmp_path_factory.mktemp("authority")
    (place / "serial").write_text("01\n")
    config = place / "tsa.conf"
    config.write_text(CONFIG.format(place=place))
    new = ("-newkey", "rsa:2048", "-nodes", "-config", str(config))
    openssl("req", "-x509", *new, "-subj", "/CN=ca", "-extensions", "ca", "-days", "9",
            "-keyout", f"{place}/ca.key", "-out", f"{place}/ca.pem")  # fmt: skip
    openssl("req", "-new", *new, "-subj", "/CN=tsa", "-keyout", f"{place}/tsa.key",
            "-out", f"{place}/tsa.csr")  # fmt: skip
    openssl("x509", "-req", "-in", f"{place}/tsa.csr", "-CA", f"{place}/ca.pem", "-CAkey",
            f"{place}/ca.key", "-CAcreateserial", "-days", "9", "-extfile", str(config),
            "-extensions", "tsa_cert", "-out", f"{place}/tsa.pem")  # fmt: skip
    return place


class Server(http.server.BaseHTTPRequestHandler):
    place: ClassVar[Path]
    url: ClassVar[str]
    answers: ClassVar[list[bytes]]
    lies: ClassVar[bytes | None] = None

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/timestamp-query"
        answer = self.lies
        if answer is None:
            query = self.place / "query.tsq"
            query.write_bytes(asked)
            config = ("-config", f"{self.place}/tsa.conf", "-section", "tsa")
            answer = openssl("ts", "-reply", "-queryfile", str(query), *config)
        self.answers.append(answer)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(authority: Path) -> Iterator[type[Server]]:
    class Own(Server):
        place = authority
        answers: ClassVar[list[bytes]] = []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own) as server:
        Own.url = f"http://127.0.0.1:{server.server_port}/tsa"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Own
        server.shutdown()
        thread.join()


def test_an_authority_stamps_a_checkpoint_and_openssl_believes_it(
    served: type[Server], authority: Path, tmp_path: Path
):
    options = {"kind": "timestamp", "url": served.url, "path": str(tmp_path)}
    history("alpha")
    seal()
    assert deliver("clock", options)
    [stamp] = (tmp_path / "timestamps").glob("*.tsr")
    checkpoint = stamp.with_suffix(".checkpoint")
    assert checkpoint.read_text() == CronSeal.objects.last().note
    told = openssl("ts", "-verify", "-in", str(stamp), "-data", str(checkpoint), "-CAfile",
                   f"{authority}/ca.pem", "-untrusted", f"{authority}/tsa.pem")  # fmt: skip
    assert b"Verification: OK" in told
    assert SealProgress.objects.get(name="receiver:clock").told.startswith("stamped ")
    fire("alpha", 9)
    seal()
    assert deliver("clock", options), "not again within the hour"
    assert len(served.answers) == 1
    assert deliver("clock", {**options, "seconds": 0})
    assert len(served.answers) == 2


def test_an_answer_that_is_none_or_about_something_else_is_not_taken(
    served: type[Server], tmp_path: Path
):
    options = {"kind": "timestamp", "url": served.url, "path": str(tmp_path), "seconds": 0}
    history("alpha")
    seal()
    assert deliver("clock", options)
    fire("alpha", 9)
    seal()
    for lie, text in ((served.answers[0], "about something else"), (b"", "no time stamp"),
                      (b"\x30\x05\x30\x03\x02\x01\x02", "a refusal")):  # fmt: skip
        served.lies = lie
        assert not deliver("clock", options)
        assert text in SealProgress.objects.get(name="receiver:clock").told
    assert len(list((tmp_path / "timestamps").glob("*.tsr"))) == 1
    served.lies = None
    assert deliver("clock", options)


def test_what_is_wrong_with_its_settings_is_said(settings):
    settings.RQCRON_SEAL_RECEIVERS = {"clock": {"kind": "timestamp", "path": "/x", "seconds": "1"}}
    assert [text.partition("RECEIVERS ")[2] for text in problems()] == [
        "lacks 'url'.", "has '1' for 'seconds'. Give a number from 1 on.",
    ]  # fmt: skip
