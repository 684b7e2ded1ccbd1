"""Each check has a stable id, and says what is wrong, the value and the remedy."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core import checks as django_checks
from django.db import DatabaseError, connection
from rq import Queue

from rqcron_events import checks
from rqcron_events import conf as conf_module
from rqcron_events import registry as registry_module
from rqcron_events.conf import Conf, conf
from rqcron_events.core.definition import Overlap
from rqcron_events.errors import CronConfigError
from rqcron_events.execution import enqueuer
from rqcron_events.registry import BrokenModule, Registry, register_cron


@pytest.fixture
def registry(monkeypatch) -> Registry:
    fresh = Registry(discovered=True)
    monkeypatch.setattr(registry_module, "registry", fresh)
    return fresh


def job():
    pass


def other_job():
    pass


def test_a_sound_project_has_no_messages(registry):
    register_cron(job)
    assert checks.check_settings() == []
    assert checks.check_registry() == []
    assert checks.check_schedules() == []


def test_e001_a_cron_with_a_mistake(registry):
    register_cron(schedule="61 * * * *", name="send_digest")(job)
    [message] = checks.check_registry()
    assert message.id == "rqcron_events.E001"
    assert message.msg == (
        "Cron 'send_digest': schedule '61 * * * *' is invalid: minute must be 0-59, got 61."
    )


def test_e001_is_given_once_for_each_wrong_cron(registry):
    for number in range(3):
        register_cron(every=timedelta(0), name=f"cron {number}")(job)
    assert [message.id for message in checks.check_registry()] == ["rqcron_events.E001"] * 3


def test_a_queue_is_opened_once_for_all_its_crons(registry, monkeypatch):
    """With 100,000 crons it took longer than all else that a runner does to begin."""
    opened: list[str] = []
    original = enqueuer.django_rq.get_queue

    def get_queue(name: str, **options: str) -> Queue:
        opened.append(name)
        return original(name, **options)

    monkeypatch.setattr(enqueuer.django_rq, "get_queue", get_queue)
    for number in range(3):
        register_cron(every=timedelta(hours=1), name=f"cron {number}")(job)
    assert checks.check_registry() == []
    assert opened == ["default"]


class Picky(Queue):
    """A project's queue class, and its serializer."""

    def create_job(self, *args, **kwargs):
        if "customer" not in kwargs["meta"]:
            raise ValueError("each job needs a customer in its meta")
        return super().create_job(*args, **kwargs)

    @staticmethod
    def loads(data):
        raise AssertionError("nothing is read")

    @staticmethod
    def dumps(value):
        raise TypeError("only customers can be serialised")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"QUEUE_CLASS": f"{__name__}.Picky"}, "ValueError: each job needs a customer in its meta"),
        ({"SERIALIZER": f"{__name__}.Picky"}, "TypeError: only customers can be serialised"),
        (
            {"QUEUE_CLASS": "nowhere.Queue"},
            "Queue 'high' of RQ_QUEUES cannot be used: ValueError: ",
        ),
        (
            {"URL": "nonsense://"},
            "Queue 'high' of RQ_QUEUES gives no address (ValueError). Set its",
        ),
    ],
    ids=str,
)
def test_e001_a_cron_of_which_rq_would_take_no_job(registry, settings, monkeypatch, broken, words):
    register_cron(name="refused", queue="high")(job)
    register_cron(name="sound")(job)
    monkeypatch.setitem(settings.RQ_QUEUES, "high", {**settings.RQ_QUEUES["high"], **broken})
    [message] = checks.check_registry()
    assert message.id == "rqcron_events.E001"
    assert message.msg.startswith("Cron 'refused': RQ would refuse its job: ")
    assert words in message.msg
    assert message.hint == "Correct its options, or the settings of queue 'high'."


def test_e001_a_cron_whose_queue_names_a_cache_that_is_not_there(registry, settings, monkeypatch):
    monkeypatch.setitem(settings.RQ_QUEUES, "high", {"USE_REDIS_CACHE": "gone"})
    register_cron(queue="high")(job)
    [message] = checks.check_registry()
    assert "Queue 'high' of RQ_QUEUES gives no address (InvalidCacheBackendError)" in message.msg


def test_e001_tells_no_part_of_a_password(registry, settings, monkeypatch):
    """An unquoted slash ends the address early: what comes before it is taken for the port."""
    monkeypatch.setitem(settings.RQ_QUEUES, "high", {"URL": "redis://:hunter2/x@127.0.0.1:6379/0"})
    register_cron(queue="high")(job)
    [message] = checks.check_registry()
    assert "gives no address (ValueError)" in message.msg
    assert "hunter2" not in str(message)


def test_e001_is_found_without_redis(registry, settings, monkeypatch):
    nowhere = {"URL": "redis://127.0.0.1:1/0", "ASYNC": False}
    monkeypatch.setitem(settings.RQ_QUEUES, "high", nowhere)
    register_cron(queue="high")(job)
    assert checks.check_registry() == []


def test_e002_two_crons_of_one_name(registry):
    register_cron(name="same")(job)
    register_cron(name="same")(other_job)
    [message] = checks.check_registry()
    assert message.id == "rqcron_events.E002"
    assert "'same' is registered twice" in message.msg
    assert "another name=" in message.msg


def test_e001_and_e002_can_both_hold(registry):
    register_cron(name="same")(job)
    register_cron(name="same")(other_job)
    register_cron(name="same", queue="nowhere")(job)
    found = sorted(message.id for message in checks.check_registry())
    assert found == ["rqcron_events.E001", "rqcron_events.E002"]


def test_e003_a_module_that_does_not_import(registry):
    registry.broken_modules["shop.crons"] = BrokenModule(
        module="shop.crons", error="ImportError: no (crons.py:1)"
    )
    [message] = checks.check_registry()
    assert message.id == "rqcron_events.E003"
    assert message.msg == "Module shop.crons does not import: ImportError: no (crons.py:1)."
    assert "fix the import" in message.hint


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("RQCRON_TICK_SECONDS", "fast", "is 'fast'. Give a number from 0.05 to 60."),
        ("RQCRON_TICK_SECONDS", 0, "is 0. It must be from 0.05 to 60."),
        ("RQCRON_TICK_SECONDS", True, "is True. Give a number"),
        ("RQCRON_LEASE_SECONDS", 0.5, "is 0.5. It must be from 1 to 60."),
        ("RQCRON_CATCH_UP_SLOTS_MAX", 0, "is 0. It must be from 1 to 100000."),
        ("RQCRON_TAIL_WAIT_SECONDS", -1, "is -1. It must be from 0 to 60."),
        ("RQCRON_RESULT_BYTES_MAX", None, "is None. Give a number"),
        ("RQCRON_DATABASE", "ledger", "is 'ledger'. It must be an alias in DATABASES: default."),
        ("RQCRON_DEFAULTS", ["overlap"], "is not a dict. Give {'overlap': 'skip'} or the like."),
        ("RQCRON_ALERTS", ["secret"], "is not a dict. Give {'receivers': "),
        ("RQCRON_SITE_URL", "example.org", "is 'example.org'. Give one such as 'https://"),
        ("RQCRON_ENABLED", "no", "is 'no'. Give True, False, or a dict such as {'*': False, "),
        ("RQCRON_ENABLED", {"report": 0}, "has 0 for 'report'. Give True or False."),
        ("RQCRON_ENABLED", {1: True}, "has the key 1. Give names of crons, or '*'"),
        ("RQCRON_TICK_SECOND", 1, "is unknown. Known ones: RQCRON_ALERTS, "),
        ("USE_TZ", False, "Set USE_TZ = True: slots are instants in UTC."),
    ],
)
def test_e004_a_setting_that_is_wrong(settings, name, value, words):
    setattr(settings, name, value)
    [message] = checks.check_settings()
    assert message.id == "rqcron_events.E004"
    assert message.msg.startswith(f"Setting {name} ")
    assert words in message.msg
    with pytest.raises(CronConfigError, match=name):
        conf()


def test_e004_reports_all_wrong_settings_at_once(settings):
    settings.RQCRON_TICK_SECONDS = settings.RQCRON_LEASE_SECONDS = -1
    assert len(checks.check_settings()) == 2


def test_settings_that_are_given_are_used_and_others_have_their_defaults(settings):
    settings.RQCRON_LEASE_SECONDS = 9
    assert conf().lease_seconds == 9
    assert conf().snapshot_seconds == Conf().snapshot_seconds


def test_every_default_is_within_its_bounds(monkeypatch):
    bare = SimpleNamespace(DATABASES={"default": {}}, STORAGES={}, USE_TZ=True)
    monkeypatch.setattr(conf_module, "settings", bare)
    assert checks.check_settings() == []
    defaults = Conf()
    for name, (low, high) in conf_module._BOUNDS.items():
        value = getattr(defaults, name)
        assert value is None or low <= value <= high


def test_defaults_of_a_project_that_are_wrong_are_told_for_each_cron(registry, settings):
    settings.RQCRON_DEFAULTS = {"overlap": "sometimes"}
    register_cron(job)
    [message] = checks.check_registry()
    assert message.id == "rqcron_events.E001"
    assert "overlap='sometimes' is invalid" in message.msg
    assert all(repr(item.value) in message.msg for item in Overlap)


class Service:
    def refresh(self):
        pass

    @staticmethod
    def sweep():
        pass

    def __call__(self):
        pass


def of_two(first, second="b"):
    pass


def yields():
    yield 1


async def async_yields():
    yield 1


async def coroutine():
    pass


def in_main():
    pass


in_main.__module__ = "__main__"


@pytest.mark.parametrize(
    ("function", "given", "words", "hint"),
    [
        (of_two, {}, "missing a required argument: 'first'", "Correct args= and kwargs="),
        (of_two, {"args": [1, 2, 3]}, "too many positional arguments", "Correct args="),
        (of_two, {"args": [1], "kwargs": {"third": 3}}, "unexpected keyword", "Correct args="),
        (Service.refresh, {}, "it is a method of Service", "Decorate a function"),
        (Service, {}, "it is a class", "Decorate a function."),
        (yields, {}, "it is a generator", "Return instead of yield."),
        (async_yields, {}, "it is a generator", "Return instead of yield."),
        (in_main, {}, "it is defined in __main__", "Move it into a crons module."),
        (lambda: None, {}, "it is a lambda", "Write a function with def."),
    ],
)
def test_e010_a_function_that_no_worker_can_run(registry, function, given, words, hint):
    register_cron(name="wrong", **given)(function)
    [message] = checks.check_registry()
    assert message.id == "rqcron_events.E010"
    assert words in message.msg
    assert message.msg.startswith("Cron 'wrong': ")
    assert message.hint.startswith(hint)


@pytest.mark.parametrize(
    ("function", "given"),
    [
        (of_two, {"args": [1]}),
        (of_two, {"kwargs": {"first": 1, "second": 2}}),
        (coroutine, {}),
        (Service.sweep, {}),
        (Service().refresh, {}),
        (Service(), {}),
        (print, {"args": ["no signature is needed"]}),
    ],
)
def test_e010_says_nothing_of_what_can_be_run(registry, function, given):
    register_cron(name="right", **given)(function)
    assert checks.check_registry() == []


def test_a_wrong_cron_is_an_error_for_check_and_a_warning_for_every_other_command(
    registry, monkeypatch
):
    register_cron(schedule="61 * * * *", name="send_digest")(job)
    register_cron(name="method")(Service.refresh)
    registry.broken_modules["shop.crons"] = BrokenModule(module="shop.crons", error="ImportError")
    for command, serious in (("check", True), ("migrate", False), ("runserver", False)):
        monkeypatch.setattr("sys.argv", ["manage.py", command])
        assert {message.is_serious() for message in checks.check_registry()} == {serious}


def test_w010_a_name_in_the_settings_that_no_cron_has(registry, settings):
    register_cron(job)
    settings.RQCRON_ENABLED = {"*": False, "jbo": True, "job": True}
    [message] = checks.check_registry()
    assert message.id == "rqcron_events.W010"
    assert message.msg == "Setting RQCRON_ENABLED names 'jbo', which is no cron of this code."
    assert message.hint == "Did you mean 'job'? Correct the name, or take it out."


def test_e011_renamed_from_names_a_cron_that_is_still_there(registry):
    register_cron(job)
    register_cron(name="digest", renamed_from="job")(other_job)
    [message] = checks.check_registry()
    assert (message.id, message.msg) == (
        "rqcron_events.E011",
        "Cron 'digest': renamed_from='job' names a cron that this code still has. Remove that cron, or "
        "renamed_from.",
    )


def test_e011_two_crons_cannot_have_been_the_same(registry):
    register_cron(renamed_from="report")(job)
    register_cron(name="digest", renamed_from="report")(other_job)
    [message] = checks.check_registry()
    assert message.msg == (
        "Cron 'digest': renamed_from='report' is given by 'job', too. Remove one of them."
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("job", "renamed_from='job' is invalid: give the name that it had before."),
        ("", "renamed_from='' is invalid: give the name that it had before."),
        (["a"], "renamed_from=['a'] is invalid: give the name that it had before."),
    ],
)
def test_e001_a_renamed_from_that_is_no_former_name(registry, value, words):
    register_cron(renamed_from=value)(job)
    [message] = checks.check_registry()
    assert message.id == "rqcron_events.E001"
    assert words in message.msg


def test_w010_a_cron_that_is_wrong_or_whose_module_is_broken_is_not_unknown(registry, settings):
    settings.RQCRON_ENABLED = {"job": False, "elsewhere": False}
    register_cron(schedule="wrong")(job)
    registry.broken_modules["shop.crons"] = BrokenModule(module="shop.crons", error="no")
    assert {message.id for message in checks.check_registry()} == {
        "rqcron_events.E001",
        "rqcron_events.E003",
    }


@pytest.mark.parametrize(
    ("schedule", "check", "text"),
    [
        ("0 11 1-7 * FRI", "W011", "matches day of month '1-7', and on each that matches day of"),
        ("0 0 1-31 * 4", "W011", "either is enough"),
        ("30 0 0 13 * 5", "W011", "either is enough"),
        ("*/45 * * * *", "W012", "minute '*/45' starts over each hour: it is due at 0, 45."),
        ("*/7 * * * *", "W012", "it is due at 0, 7, ..., 56."),
        ("0-59/7 * * * *", "W012", "it is due at 0, 7, ..., 56."),
        ("0 */5 * * *", "W012", "hour '*/5' starts over each day: it is due at 0, 5, ..., 20."),
        ("*/40 * * * * *", "W012", "second '*/40' starts over each minute: it is due at 0, 40."),
        ("*/120 4-22 * * *", "W012", "has a step beyond the field: it is due at 0 only."),
        ("0 0 */40 * *", "W012", "it is due at 1 only."),
    ],
)
def test_w011_w012_a_schedule_that_is_often_not_what_was_meant(registry, schedule, check, text):
    register_cron(schedule=schedule)(job)
    [message] = checks.check_schedules()
    assert message.id == f"rqcron_events.{check}"
    assert message.msg.startswith(f"Cron 'job': schedule {schedule!r}: ")
    assert text in message.msg
    assert message.hint
    assert checks.check_registry() == []


@pytest.mark.parametrize(
    "schedule",
    [
        *("@weekly", "* * * * *", "*/15 * * * *", "*/60 * * * *", "0 */24 * * *", "0 0 13 * *"),
        *("0 0 * * 5", "0 0 */2 * 1", "0 0 ? * MON", "0 0 * * FRI#1", "H/7 * * * *"),
        *("*/7 9 * * *", "10-40/20 * * * *", "0 0 */2 * *", "0 9-17/3 * * *"),
    ],
)
def test_w011_w012_say_nothing_of_plain_schedules(registry, schedule):
    register_cron(schedule=schedule)(job)
    assert checks.check_schedules() == []


def test_w011_says_nothing_of_a_disabled_cron(registry):
    register_cron(schedule="0 11 1-7 * FRI", enabled=False)(job)
    assert checks.check_schedules() == []


def test_w013_a_herd_at_one_minute_and_what_spreads_it(registry):
    for number in range(19):
        register_cron(schedule="0 0 * * *", name=f"daily-{number:02}")(job)
    spread = {"schedule": "H 0 * * *"}, {"schedule": "@daily", "jitter": timedelta(minutes=10)}
    for number, options in enumerate((*spread, {"schedule": "0 0 * * 1"}, {"cadence": "hourly"})):
        register_cron(name=f"other-{number}", **options)(job)
    assert checks.check_schedules() == []
    register_cron(cadence="daily", name="daily-19")(job)
    [message] = checks.check_schedules()
    assert message.id == "rqcron_events.W013"
    assert message.msg.startswith("20 crons are due each day at 00:00 ")
    assert "'daily-00', 'daily-01', 'daily-02', ..." in message.msg


def test_i002_tells_what_is_missing_without_the_projections(monkeypatch):
    assert checks.check_projections() == []
    monkeypatch.setattr(checks.apps, "is_installed", lambda name: False)
    [message] = checks.check_projections()
    assert message.id == "rqcron_events.I002"
    assert "cron_list" in message.msg


# E005 on real databases: tests/conformance/test_append_only.py


def test_e005_says_nothing_about_another_database_or_wrong_settings(settings):
    assert checks.check_tables(databases=["replica"]) == []
    settings.RQCRON_TICK_SECONDS = -1
    assert checks.check_tables(databases=["default"]) == []


def test_e005_leaves_a_database_that_does_not_answer_to_django(monkeypatch):
    def no_answer():
        raise DatabaseError("the server is gone")

    monkeypatch.setattr(connection.introspection, "table_names", no_answer)
    assert checks.check_tables(databases=["default"]) == []


def test_e005_says_nothing_before_the_first_migrate(monkeypatch):
    monkeypatch.setattr(connection.introspection, "table_names", lambda: ["auth_user"])
    assert checks.check_tables(databases=["default"]) == []


def test_the_checks_are_registered_with_django():
    registered = django_checks.registry.registry
    assert checks.check_settings in registered.get_checks()
    assert checks.check_registry in registered.get_checks()
    assert checks.check_tables in registered.get_checks(include_deployment_checks=True)
    assert django_checks.Tags.database in checks.check_tables.tags


def test_i001_a_queue_with_a_serializer_that_rqworker_does_not_look_for(
    registry, settings, monkeypatch
):
    register_cron(name="read", queue="high")(job)
    register_cron(name="sound")(job)
    assert checks.check_serializers() == []
    monkeypatch.setitem(settings.RQ_QUEUES["high"], "SERIALIZER", "rq.serializers.JSONSerializer")
    [message] = checks.check_serializers()
    assert message.id == "rqcron_events.I001"
    assert "Queue 'high' has SERIALIZER rq.serializers.JSONSerializer" in message.msg
    assert "rqworker --serializer rq.serializers.JSONSerializer" in message.hint
