"""What the crons call: nothing in here changes when a project moves."""


def clean_up_temporary_files(*, older_than_hours: int = 24) -> str:
    return f"removed what was older than {older_than_hours} hours"


def send_newsletter(edition: str, *, template: str = "plain.html") -> str:
    return f"sent {edition} with {template}"


def fetch_feeds() -> str:
    return "fetched"
