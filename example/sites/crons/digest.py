"""Mail what was found, when something was."""

from datetime import timedelta

from django.core.mail import send_mail

from rqcron_events import DeclineRun, register_cron
from sites.models import Check


@register_cron(schedule="*/4 * * * * *")
def digest() -> None:
    checks = list(Check.objects.filter(reported=False).select_related("site").order_by("id"))
    if not checks:
        raise DeclineRun("no new checks")
    send_mail(
        subject=f"{len(checks)} checks",
        message="\n".join(map(str, checks)),
        from_email=None,
        recipient_list=["owner@demo.invalid"],
    )
    Check.objects.filter(id__in=[check.id for check in checks]).update(reported=True)


@register_cron(schedule="0 9 * * 1-5", timezone="America/New_York")
def weekday_digest() -> None:
    """At nine in New York on working days: the demo shows only when that will be."""
    digest()


@register_cron(every=timedelta(seconds=3))
def remind_owner() -> None:
    """The demo pauses this one."""
    failing = Check.objects.exclude(status=200).order_by("-id").first()
    if failing is None:
        raise DeclineRun("nothing is failing")
    send_mail(f"Reminder: {failing}", "", None, ["owner@demo.invalid"])
