"""The keys of the settings."""

from __future__ import annotations

from ..conf import conf
from ..core.seal.note import Signer, Verifier
from ..core.seal.settings import missing_packages
from ..errors import CronConfigError

__all__ = ["public_key", "require_packages", "required_signer", "signer", "verifiers"]


def signer() -> Signer | None:
    """None where the project has no key: then nothing is sealed."""
    key = conf().seal_key
    return Signer.of(key) if key else None


def require_packages() -> None:
    """For who uses keys that are in no setting: those are checked. Raises CronConfigError."""
    missing = missing_packages()
    if missing:
        raise CronConfigError(
            f"This needs {' and '.join(missing)}. Run: pip install 'rqcron-events[seal]'"
        )


def required_signer() -> Signer:
    """Raises CronConfigError without a key."""
    found = signer()
    if found is None:
        raise CronConfigError(
            "RQCRON_SEAL_KEY is not set, so nothing is sealed. Make a key: manage.py cron_seal "
            "--new-key NAME"
        )
    return found


def verifiers(more: Verifier | None = None) -> list[Verifier]:
    """The public keys whose signatures count; the present one is the first. ``more`` stands in for the
    private key, on a machine that does not have it."""
    own = signer()
    found = [more] if more else []
    found += [own.verifier] if own else []
    return found + [Verifier.of(text) for text in conf().seal_old_keys]


def public_key() -> str:
    """As text. Raises CronConfigError without a key."""
    return required_signer().verifier.text
