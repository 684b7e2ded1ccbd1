"""What deploy/ gives to Prometheus and Grafana fits what the page tells."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.db.models.functions import Now
from rqcron_projections.signals.prometheus.metrics import METRICS

from rqcron_events.leadership.lease import LEADER
from rqcron_events.models import CronLease
from tests.processes import ROOT
from tests.servers import free_port
from tests.system_packages import require

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "rqcron.rules.yml"
PAGE = ROOT / "docs" / "metrics.md"
PROMTOOL, PROMETHEUS = shutil.which("promtool"), shutil.which("prometheus")
TOKEN = "a-token-for-the-tests"
SECONDS_MAX = 60

SAMPLED = {
    f"{metric.name}{suffix}": metric
    for metric in METRICS.values()
    for suffix in {
        "summary": ("_sum", "_count", "_bucket"),
        "histogram": ("_sum", "_count", "_bucket"),
    }.get(metric.kind, ("",))
}


def queries() -> Iterator[str]:
    """All that the rules and the dashboard ask."""
    yield from re.findall(
        r"^ +expr: (?:>-\n)?(.+?)^ +(?:for|labels):", RULES.read_text(), re.MULTILINE | re.DOTALL
    )
    board = json.loads((DEPLOY / "grafana" / "rqcron.json").read_text())
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def test_rules_and_dashboard_ask_only_for_metrics_that_exist_by_labels_that_they_have():
    asked = list(queries())
    assert len(asked) > 30
    named = {name for query in asked for name in re.findall(r"\brqcron_\w+", query)}
    assert named - SAMPLED.keys() == set()
    for query in asked:
        for name, labels in re.findall(r"\b(rqcron_\w+)\{(.*?)\}", query):
            used = set(re.findall(r"(\w+)=", labels))
            assert used <= {*SAMPLED[name].labels, "le"}, query
        for grouped in re.findall(r"\bby \((.+?)\)", query):
            known = {
                label
                for name in re.findall(r"\brqcron_\w+", query)
                for label in SAMPLED[name].labels
            }
            assert set(grouped.split(", ")) <= known | {"le", "job", "instance"}, query


def test_every_alert_is_tried_by_the_tests_of_the_rules():
    tried = "".join(path.read_text() for path in RULES.parent.glob("*.test.yml"))
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
    assert len(alerts) == len(set(alerts)) > 10
    assert [name for name in alerts if f"alertname: {name}" not in tried] == []


def test_the_rules_pass_their_tests():
    require("prometheus", is_installed=PROMTOOL is not None)
    assert PROMTOOL
    tests = sorted(map(str, RULES.parent.glob("*.test.yml")))
    for command in (
        ["check", "config", str(RULES.parent / "prometheus.yml")],
        ["test", "rules", *tests],
    ):
        done = subprocess.run(
            [PROMTOOL, *command], check=False, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_table_of_metrics_is_what_the_code_has():
    rows = re.findall(
        r"^\| `(rqcron_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", PAGE.read_text(), re.MULTILINE
    )
    assert rows == [
        (metric.name, metric.kind, ", ".join(f"`{label}`" for label in metric.labels), metric.help)
        for metric in METRICS.values()
    ]


def test_the_table_of_alerts_is_what_the_rules_have():
    rows = re.findall(r"^\| `(Rqcron\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert rows == re.findall(r"- alert: (\w+)", RULES.read_text())


@pytest.fixture
def web(transactional_db: None) -> Iterator[str]:
    """Host and port of this project's pages."""

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with make_server("127.0.0.1", 0, WSGIHandler(), handler_class=Quiet) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def prometheus(web: str, settings: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """A real one that scrapes this process twice a second; ``ask`` asks its API."""
    require("prometheus", is_installed=PROMETHEUS is not None)
    assert PROMETHEUS
    settings.RQ_API_TOKEN = TOKEN
    rules = re.sub(r"for: \w+", "for: 0s", RULES.read_text())
    (tmp_path / "rules.yml").write_text(rules)
    config = (RULES.parent / "prometheus.yml").read_text()
    for written, here in (
        ("rqcron.rules.yml", "rules.yml"),
        ("the-value-of-RQ_API_TOKEN", TOKEN),
        ("web.example.com:8000", web),
    ):
        assert written in config
        config = config.replace(written, here)
    times = "global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 200ms}\n"
    (tmp_path / "prometheus.yml").write_text(times + config)
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        PROMETHEUS,
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as server,
    ):

        def ask(path: str) -> Any:
            assert server.poll() is None, (tmp_path / "log").read_text()
            with urlopen(Request(f"{url}/api/v1/{path}"), timeout=10) as answer:
                return json.load(answer)["data"]

        yield ask
        server.kill()


def firing(ask: Callable[..., Any]) -> set[str] | None:
    """The names of the alerts that fire; None while it starts."""
    try:
        return {alert["labels"]["alertname"] for alert in ask("alerts")["alerts"]}
    except OSError:
        return None


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.django_db(transaction=True)
def test_a_real_prometheus_sees_that_nobody_decides_and_that_somebody_does_again(
    redis_connection, prometheus
):
    wait_until(lambda: firing(prometheus) == {"RqcronNoRunner"})
    CronLease.objects.create(name=LEADER, holder="web-1", renewed_at=Now())

    def resolved() -> bool:
        CronLease.objects.filter(name=LEADER).update(renewed_at=Now())
        return firing(prometheus) == set()

    wait_until(resolved)
    (target,) = prometheus("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    (sample,) = prometheus("query?query=rqcron_runner_leading")["result"]
    assert sample["metric"]["runner"] == "web-1"
