"""What ``cron_config.py`` registered. The functions stay in ``tasks.py``, as they were."""

from datetime import timedelta

from newsroom.tasks import clean_up_temporary_files, fetch_feeds, send_newsletter
from rqcron_events import register_cron

register_cron(
    every=timedelta(minutes=30),
    queue="low",
    kwargs={"older_than_hours": 48},
    timeout=300,
)(clean_up_temporary_files)

register_cron(
    schedule="30 10 * * 2",
    timezone="Europe/Berlin",
    queue="high",
    args=("weekly",),
    kwargs={"template": "letter.html"},
    result_ttl=3600,
    meta={"team": "mail"},
)(send_newsletter)

register_cron(every=timedelta(seconds=20), name="feeds", ttl=60)(fetch_feeds)
