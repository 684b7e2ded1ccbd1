"""Sending one message. Each receiver says what came back, and raises when it was not taken."""

from __future__ import annotations

import logging
from collections.abc import Callable
from smtplib import SMTPAuthenticationError, SMTPRecipientsRefused, SMTPResponseException

from django.core.mail import EmailMessage

from ..http import NotTaken, Refused
from .conf import Receiver
from .message import Message
from .webhook import send_webhook

__all__ = ["send"]

log = logging.getLogger(__name__)


def send(receiver: Receiver, message: Message) -> str:
    """What the receiver answered, in a few words.

    Raises Refused when it will never take this message, and NotTaken when it may do so later; both
    without secrets in their texts.
    """
    try:
        return _SENDERS[receiver.kind](receiver, message)
    except NotTaken:
        raise
    except Exception as error:  # whatever a mail backend or a plug-in raises
        # Not its text: it may hold the URL with its token.
        raise NotTaken(type(error).__name__) from None


def _log(receiver: Receiver, message: Message) -> str:
    for alert in message.data["alerts"]:
        log.warning(
            "%s",
            alert["sentence"],
            extra={
                "action": "alert",
                "receiver": receiver.name,
                **{key: alert[key] for key in ("rule", "when", "cron", "change", "slot", "run_id")},
            },
        )
    return "logged"


def _mail(receiver: Receiver, message: Message) -> str:
    mail = EmailMessage(
        message.subject,
        message.text,
        receiver.options.get("from"),
        list(receiver.options["to"]),
        headers={"Message-ID": f"<{message.id}@rqcron-events>"},
    )
    try:
        sent = mail.send()
    except SMTPRecipientsRefused as error:
        codes = sorted({code for code, _ in error.recipients.values()})
        kind = Refused if min(codes) >= 500 else NotTaken
        raise kind(f"every recipient was refused ({', '.join(map(str, codes))})") from None
    except SMTPAuthenticationError as error:
        raise NotTaken(f"the mail server refused the login ({error.smtp_code})") from None
    except SMTPResponseException as error:
        kind = Refused if 550 <= error.smtp_code < 600 else NotTaken
        raise kind(f"the mail server answered {error.smtp_code}") from None
    if not sent:
        raise NotTaken("the mail backend sent nothing")
    return "the mail server took it"


def _apprise(receiver: Receiver, message: Message) -> str:
    import apprise

    service = apprise.Apprise()
    if not service.add(receiver.options["url"]):
        raise NotTaken("Apprise does not understand the URL")
    plain = apprise.NotifyFormat.TEXT  # else a service that shows HTML takes it for that
    if not service.notify(title=message.subject, body=message.text, body_format=plain):
        raise NotTaken("Apprise could not deliver it; its own log says why")
    return "Apprise delivered it"


_SENDERS: dict[str, Callable[[Receiver, Message], str]] = {
    "log": _log,
    "mail": _mail,
    "webhook": send_webhook,
    "apprise": _apprise,
}
