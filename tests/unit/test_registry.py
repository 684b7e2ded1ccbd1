"""What @register_cron makes of a function, and how crons are found."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from functools import partial
from threading import Event
from types import SimpleNamespace

import pytest
from rq import Retry

from rqcron_events import registry as registry_module
from rqcron_events.core.definition import Cadence, CatchUp, Overlap, Retries
from rqcron_events.registry import Registry, register_cron


@pytest.fixture
def registry(monkeypatch) -> Registry:
    """An empty one, which register_cron fills."""
    fresh = Registry()
    monkeypatch.setattr(registry_module, "registry", fresh)
    return fresh


def plain():
    """Say hello.

    And more.
    """


@pytest.fixture
def define(registry):
    """Register ``plain`` with options and return its definition."""

    def register(**options):
        assert register_cron(**options)(plain) is plain
        assert not registry.problems, registry.problems
        [cron] = registry.crons.values()
        return cron.definition

    return register


@pytest.fixture
def problem(registry):
    """Register ``plain`` with wrong options and return the one thing that is wrong."""

    def register(**options) -> str:
        assert register_cron(**options)(plain) is plain
        assert not registry.crons
        [[text]] = registry.problems.values()
        return text

    return register


def test_the_bare_decorator_registers_an_hourly_cron(registry):
    assert register_cron(plain) is plain
    definition = registry.crons["plain"].definition
    assert definition.expression == "0 * * * *"
    assert definition.timezone == "UTC"
    assert definition.queue == "default"
    assert definition.function == "tests.unit.test_registry:plain"
    assert definition.description == "Say hello."


def test_a_function_named_do_takes_the_name_of_its_module(registry):
    def do():
        pass

    register_cron(do)
    assert list(registry.crons) == ["test_registry"]


def test_a_name_that_is_given_wins(define):
    assert define(name="other").name == "other"


@pytest.mark.parametrize(
    ("cadence", "expression"),
    [
        ("every_minute", "* * * * *"),
        ("every_ten_minutes", "*/10 * * * *"),
        ("hourly", "0 * * * *"),
        ("daily", "0 0 * * *"),
        ("weekly", "0 0 * * 0"),
        ("monthly", "0 0 1 * *"),
        ("DAILY", "0 0 * * *"),
        (Cadence.DAILY, "0 0 * * *"),
        (Cadence.EVERY_TEN_MINUTES, "*/10 * * * *"),
    ],
)
def test_a_cadence_is_a_schedule_with_a_name(define, cadence, expression):
    assert define(cadence=cadence).expression == expression


def test_every_cadence_has_a_schedule(define):
    assert all(cadence.expression for cadence in Cadence)


def test_a_period_may_be_given_instead_of_a_schedule(define):
    definition = define(every=timedelta(minutes=15), offset=timedelta(minutes=2))
    assert (definition.every_seconds, definition.offset_seconds) == (900, 120)
    assert definition.schedule_text == "every 15m"


def test_policies_are_kept(define):
    definition = define(
        schedule="0 9 * * 1-5",
        timezone="America/New_York",
        queue="high",
        overlap="skip",
        catch_up=CatchUp.ALL,
        max_lateness=timedelta(hours=2),
        jitter=timedelta(seconds=30),
        idempotent=True,
        store_result=True,
        description="Hello",
    )
    assert definition.overlap is Overlap.SKIP
    assert definition.catch_up is CatchUp.ALL
    assert definition.max_lateness_seconds == 7200
    assert definition.jitter_seconds == 30
    assert definition.idempotent
    assert definition.store_result
    assert definition.description == "Hello"


def test_rqs_options_pass_through(define):
    options = define(
        timeout=600,
        ttl=timedelta(minutes=1),
        result_ttl=-1,
        failure_ttl=5,
        at_front=True,
        meta={"a": [1]},
    ).options
    assert options == {
        "timeout": 600,
        "ttl": 60,
        "result_ttl": -1,
        "failure_ttl": 5,
        "at_front": True,
        "meta": {"a": [1]},
    }


def test_arguments_stay_out_of_the_definition(registry):
    register_cron(args=[1, "secret"], kwargs={"key": "secret"})(plain)
    cron = registry.crons["plain"]
    assert cron.args == (1, "secret")
    assert cron.kwargs == {"key": "secret"}
    assert "secret" not in str(cron.definition.to_data())


@pytest.mark.parametrize(
    ("options", "retries"),
    [
        ({}, None),
        ({"retry": 0}, None),
        ({"tries": 1}, None),
        ({"retry": 3}, Retries(max=3)),
        ({"tries": 3}, Retries(max=2)),
        ({"retry": Retry(max=2, interval=[5, 60])}, Retries(max=2, intervals=(5, 60))),
    ],
)
def test_retry_counts_what_follows_and_tries_counts_all(define, options, retries):
    assert define(**options).retries == retries


def test_defaults_of_the_project_are_where_every_cron_starts(define, settings):
    settings.RQCRON_DEFAULTS = {"overlap": "skip", "timeout": 60}
    definition = define(timeout=30)
    assert definition.overlap is Overlap.SKIP
    assert definition.options == {"timeout": 30}


def test_the_projects_zone_is_the_default(define, settings):
    settings.TIME_ZONE = "Europe/Berlin"
    assert define().timezone == "Europe/Berlin"


def changed_retry(**fields) -> Retry:
    """RQ checks a Retry when it is made, not when its fields are changed."""
    retry = Retry(max=1)
    vars(retry).update(fields)
    return retry


def nested(depth: int) -> list:
    found: list = []
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shedule": "* * * * *"}, "option 'shedule' is unknown; did you mean 'schedule'?"),
        ({"timeoutt": 5}, "option 'timeoutt' is unknown; did you mean 'timeout'?"),
        ({"xyz": 5}, "option 'xyz' is unknown; known: "),
        (
            {"schedule": "61 * * * *"},
            "schedule '61 * * * *' is invalid: minute must be 0-59, got 61.",
        ),
        ({"schedule": 5}, "schedule 5 is invalid: give a string such as '0 9 * * 1-5'"),
        ({"timezone": "Mars/Base"}, "timezone 'Mars/Base' is invalid"),
        (
            {"queue": "nowhere"},
            "queue 'nowhere' is not in RQ_QUEUES; use one of default, high, low",
        ),
        ({"cadence": "yearly"}, "cadence 'yearly' is invalid: use one of every_minute, "),
        ({"overlap": "never"}, "overlap='never' is invalid: use one of 'allow', 'skip', 'queue'."),
        ({"catch_up": "some"}, "catch_up='some' is invalid: use one of 'latest', 'all', 'none'."),
        (
            {"schedule": "* * * * *", "every": timedelta(minutes=1)},
            "schedule and every exclude each other; give one.",
        ),
        ({"schedule": "* * * * *", "cadence": "daily"}, "exclude each other"),
        ({"offset": timedelta(minutes=1)}, "offset shifts every=; give every= too, or drop it."),
        ({"every": 60}, "every=60 is invalid: give a datetime.timedelta."),
        ({"every": timedelta(0)}, "every=0:00:00 is invalid"),
        ({"every": timedelta(milliseconds=1500)}, "must be whole seconds"),
        ({"every": timedelta(seconds=-5)}, "every=-1 day, 23:59:55 is negative"),
        ({"max_lateness": 5}, "max_lateness=5 is invalid: give a datetime.timedelta."),
        ({"max_lateness": timedelta(-1)}, "is negative; give zero or more."),
        ({"max_failures": -1}, "max_failures=-1 is invalid: give a number from 0 to 1,000,000."),
        ({"max_failures": True}, "max_failures=True is invalid"),
        ({"max_age": 5}, "max_age=5 is invalid: give a datetime.timedelta."),
        ({"jitter": "5s"}, "jitter='5s' is invalid"),
        ({"retry": 1, "tries": 1}, "retry and tries exclude each other"),
        ({"tries": 0}, "tries=0 is invalid: give 1 or more."),
        ({"retry": -1}, "retry=-1 is invalid: give a number of retries up to 10,000, or rq."),
        ({"retry": "many"}, "retry='many' is invalid"),
        ({"timeout": "1h"}, "timeout='1h' is invalid: give whole seconds"),
        ({"timeout": 0}, "timeout=0 is invalid: give at least one second."),
        ({"result_ttl": -2}, "result_ttl=-2 is invalid: give whole seconds (-1: no limit)."),
        ({"ttl": -1}, "ttl=-1 is invalid: RQ does not accept it. Leave ttl out"),
        ({"ttl": timedelta(seconds=-1)}, "ttl=-1 is invalid"),
        ({"ttl": -2}, "ttl=-2 is invalid: give whole seconds."),
        ({"ttl": 10**18}, "ttl=1000000000000000000 is invalid: give at most 3,155,760,000 seconds"),
        ({"timeout": 2**31}, "is invalid: give at most 2,000,000,000 seconds, or give -1 for no"),
        ({"every": timedelta(days=40_000)}, "is more than a century; give less."),
        ({"jitter": timedelta.max}, "is more than a century; give less."),
        ({"retry": 10**9}, "give a number of retries up to 10,000"),
        ({"retry": changed_retry(max=0)}, "retry has max=0; give a number from 1 to 10,000."),
        ({"retry": changed_retry(intervals="soon")}, "retry has intervals='soon'; give seconds"),
        ({"retry": changed_retry(intervals=[-1])}, "retry has intervals=[-1]; give seconds"),
        ({"retry": changed_retry(intervals=["x"])}, "retry has intervals=['x']; give seconds"),
        ({"retry": changed_retry(intervals=[1e300])}, "retry has intervals=[1e+300]; give"),
        ({"retry": changed_retry(intervals=[float("nan")])}, "retry has intervals=[nan]; give"),
        ({"meta": {"a": float("nan")}}, "options.meta.a is nan, which JSON does not have. The log"),
        ({"meta": {"a": float("inf")}}, "options.meta.a is inf"),
        (
            {"meta": {"a": "\ud800"}},
            r"options.meta.a has the lone surrogate '\ud800' at position 0",
        ),
        ({"meta": {"a\0": 1}}, "a key in options.meta has NUL at position 1. The log cannot store"),
        ({"meta": {"a": "x" * 70_000}}, "most of them in options; at most 65536 are allowed. Keep"),
        ({"meta": {"a": nested(60)}}, "options is nested deeper than 50 levels. The log cannot"),
        ({"description": "a\0b"}, "description has NUL at position 1. The log cannot store that;"),
        ({"description": "\udcff"}, r"description has the lone surrogate '\udcff' at position 0."),
        ({"description": "x" * 70_000}, "most of them in description; at most 65536 are allowed"),
        ({"meta": [1]}, "meta=[1] is invalid: give a dict of JSON."),
        ({"meta": {"a": object}}, "is invalid: give a dict of JSON."),
        ({"name": "x" * 201}, "the name must be printable and have at most 200 characters."),
        ({"name": "a\nb"}, "the name must be printable"),
        ({"name": "a\0b"}, "the name must be printable"),
        ({"name": "a\udcffb"}, "the name must be printable"),
        ({"name": "a\u202eb"}, "the name must be printable"),
        ({"name": "-x"}, "the name begins with -, which commands read as an option. Give another"),
        ({"name": "--all"}, "the name begins with -"),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_a_mistake_is_told_with_its_value_and_the_remedy(problem, options, words):
    text = problem(**options)
    assert text.startswith("Cron ")
    assert words in text


@pytest.mark.parametrize("kind", ["endless", "deep"])
def test_a_meta_that_is_nested_for_ever_is_a_mistake_like_any_other(problem, kind):
    endless: list = []
    endless.append(endless)
    text = problem(meta={"a": endless if kind == "endless" else nested(100_000)})
    assert "options is nested deeper than 50 levels. The log cannot store that;" in text


def test_an_empty_name_is_no_name(define):
    assert define(name="").name == "plain"


def test_one_mistake_does_not_stop_other_crons(registry):
    register_cron(schedule="nonsense", name="wrong")(plain)
    register_cron(name="right")(plain)
    assert list(registry.crons) == ["right"]
    assert list(registry.problems) == ["wrong"]


def test_two_functions_of_one_name_are_a_problem_and_the_first_one_stays(registry):
    def other():
        pass

    register_cron(name="same")(plain)
    register_cron(name="same")(other)
    assert registry.crons["same"].function is plain
    [text] = registry.problems["same"]
    assert "Cron 'same' is registered twice: by tests.unit.test_registry:plain and by " in text
    assert "Give one of them another name=" in text


def test_a_module_that_is_loaded_again_registers_its_crons_anew(registry):
    def make():
        def again():
            pass

        return again

    register_cron(make())
    second = make()
    register_cron(second)
    assert registry.crons["again"].function is second
    assert not registry.problems


# --- discovery


@pytest.fixture
def discover(registry, monkeypatch):
    def discover_in(*names: str) -> Registry:
        for module in [name for name in sys.modules if name.startswith("tests.apps.")]:
            monkeypatch.delitem(sys.modules, module)
        configs = [SimpleNamespace(name=f"tests.apps.{name}") for name in names]
        monkeypatch.setattr(
            registry_module, "apps", SimpleNamespace(get_app_configs=lambda: configs)
        )
        registry.discover()
        return registry

    return discover_in


def test_a_crons_module_is_discovered(discover):
    assert list(discover("plain").crons) == ["plain"]


def test_an_app_without_crons_is_passed_over(discover, monkeypatch):
    monkeypatch.setattr(registry_module.importlib.util, "find_spec", lambda name: None)
    assert discover("plain").crons == {}


def test_one_module_that_does_not_import_does_not_stop_the_others(discover, caplog):
    found = discover("partly_broken", "plain")
    assert set(found.crons) == {
        "in_the_package",
        "before_the_fault",
        "nightly",
        "after_the_fault",
        "plain",
    }
    assert list(found.problems) == ["wrong_schedule"]
    [broken] = found.broken_modules.values()
    assert broken.module == "tests.apps.partly_broken.crons.a_broken"
    assert broken.error.startswith("RuntimeError: this module is broken on purpose (")
    assert broken.error.endswith("a_broken.py:11)")
    assert "Other modules are not affected" in caplog.text
    assert "It registered 'before_the_fault' before the error" in caplog.text


def test_the_crons_of_a_broken_module_are_known_to_be_missing_for_now(discover):
    found = discover("partly_broken")
    definition = found.crons["before_the_fault"].definition
    assert not found.knows_module_of(definition)
    assert found.knows_module_of(found.crons["nightly"].definition)


def test_discovery_happens_once(discover, registry):
    discover("plain")
    registry.crons.clear()
    registry.discover()
    assert registry.crons == {}


def test_discovery_by_two_threads_at_once_leaves_neither_with_half(discover, registry, monkeypatch):
    """The second one waits until the first one has found all crons."""
    importing, go_on = Event(), Event()
    original = registry_module.importlib.import_module

    def slow(name):
        importing.set()
        assert go_on.wait(10)
        return original(name)

    monkeypatch.setattr(registry_module.importlib, "import_module", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(discover, "plain")
        assert importing.wait(10)
        second = pool.submit(lambda: (registry.discover(), set(registry.crons))[1])
        assert not wait([second], timeout=0.2).done
        go_on.set()
        first.result(10)
        assert second.result(10) == {"plain"}


def test_a_module_that_takes_long_is_named_while_it_does(discover, monkeypatch, caplog):
    monkeypatch.setattr(registry_module, "IMPORT_SLOW_SECONDS", 0.01)
    said = Event()
    monkeypatch.setattr(registry_module.log, "warning", lambda *_, **__: said.set())
    monkeypatch.setattr(registry_module.importlib, "import_module", lambda name: said.wait(10))
    discover("plain")
    assert said.is_set()


# --- faults that concern one module or one cron


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import sys; sys.exit('no settings')", "SystemExit: no settings"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("raise BaseException('odd')", "BaseException: odd"),
        ("import asyncio; raise asyncio.CancelledError", "CancelledError"),
        ("def f(): f()\nf()", "RecursionError"),
        ("def broken(:", "SyntaxError"),
        (
            "class E(Exception):\n    def __str__(self): 1 / 0\nraise E",
            "E: <E that cannot be shown>",
        ),
        ("raise ValueError('x' * 10**7)", "ValueError: xxx"),
        ("print('noise'); raise ImportError('gone')", "ImportError: gone"),
    ],
)
def test_whatever_a_module_raises_concerns_that_module_alone(
    discover, registry, monkeypatch, tmp_path, fault, words
):
    package = tmp_path / "faulty_app"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "crons.py").write_text(fault)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("faulty_app", "faulty_app.crons"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    configs = [SimpleNamespace(name=name) for name in ("faulty_app", "tests.apps.plain")]
    monkeypatch.delitem(sys.modules, "tests.apps.plain.crons", raising=False)
    monkeypatch.setattr(registry_module, "apps", SimpleNamespace(get_app_configs=lambda: configs))
    registry.discover()
    assert list(registry.crons) == ["plain"]
    [broken] = registry.broken_modules.values()
    assert broken.module == "faulty_app.crons"
    assert broken.error.startswith(words)
    assert len(broken.error) < 1500


def test_ctrl_c_during_discovery_ends_the_command(discover, monkeypatch):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(registry_module.importlib, "import_module", interrupted)
    with pytest.raises(KeyboardInterrupt):
        discover("plain")


class Hostile:
    """Whatever is asked of it raises."""

    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__

    def __eq__(self, other):
        raise SystemExit

    __hash__ = None

    def __bool__(self):
        raise GeneratorExit


class HostileText(str):
    """A str by its class only."""

    def __eq__(self, other):
        raise RuntimeError("not comparable")

    def __hash__(self):
        return 1

    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "options",
    [
        {option: Hostile()}
        for option in ("schedule", "every", "timezone", "queue", "overlap", "retry", "tries", "meta",
                       "description", "idempotent", "args", "kwargs", "timeout", "jitter", "name")
    ]
    + [{"args": 5}, {"kwargs": 5}, {Hostile.__name__: Hostile()}],
    ids=lambda options: next(iter(options)),
)  # fmt: skip
def test_an_argument_that_raises_whatever_is_asked_of_it_costs_that_cron_alone(registry, options):
    register_cron(**options)(plain)
    register_cron(name="right")(plain)
    assert list(registry.crons) == ["right"]
    [[text]] = registry.problems.values()
    assert text.startswith("Cron 'plain': ")


def test_a_text_of_a_class_of_its_own_is_stored_as_plain_text(define):
    definition = define(meta={"key": HostileText("value")})
    assert definition.options["meta"] == {"key": "value"}
    assert type(definition.options["meta"]["key"]) is str


def test_a_function_without_a_module_or_a_name_is_registered_or_refused_by_itself(registry):
    def nameless():
        pass

    nameless.__module__ = None
    register_cron(name="nameless")(nameless)
    register_cron(name="partial")(partial(plain))
    register_cron(name="right")(plain)
    assert {"partial", "right", "nameless"} == set(registry.crons)


@pytest.mark.parametrize(
    ("setting", "options", "disabled"),
    [
        (None, {}, ""),
        (None, {"enabled": True}, ""),
        (None, {"enabled": False}, "enabled=False"),
        (True, {}, ""),
        (True, {"enabled": False}, "enabled=False"),
        (False, {}, "RQCRON_ENABLED"),
        (False, {"enabled": False}, "enabled=False"),
        ({"*": False}, {}, "RQCRON_ENABLED"),
        ({"*": False, "plain": True}, {}, ""),
        ({"*": False, "plain": True}, {"enabled": False}, ""),
        ({"plain": False}, {}, "RQCRON_ENABLED"),
        ({"plain": False}, {"enabled": True}, "RQCRON_ENABLED"),
        ({"other": False}, {}, ""),
        ({"other": False}, {"enabled": False}, "enabled=False"),
    ],
)
def test_a_cron_runs_unless_its_code_or_the_settings_disable_it(
    define, settings, setting, options, disabled
):
    """What the settings say of a cron by its name goes before what its code says."""
    if setting is not None:
        settings.RQCRON_ENABLED = setting
    assert define(**options).disabled == disabled


def test_the_defaults_of_a_project_may_disable_its_crons(define, settings):
    settings.RQCRON_DEFAULTS = {"enabled": False}
    assert define().disabled == "RQCRON_DEFAULTS"
    assert define(enabled=True).disabled == ""


@pytest.mark.parametrize("value", ["no", 0, None, timedelta(0)])
def test_enabled_is_true_or_false(problem, value):
    assert problem(enabled=value) == (
        f"Cron 'plain': enabled={value!r} is invalid: give True or False."
    )


def test_only_a_disabled_cron_says_so_in_the_log(define):
    assert "disabled" not in define().to_data()
    data = define(enabled=False).to_data()
    assert data["disabled"] == "enabled=False"
