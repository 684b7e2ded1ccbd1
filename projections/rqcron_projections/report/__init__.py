"""How crons did over a range of time: start with ``report``.

``from_days`` and ``from_runs`` add up rows of days or of single runs into ``tallies``, which hold
``figures``; ``render`` shows a report to people. Reads projections and the log, writes nothing. It may
import ``models``, ``folds`` and ``histogram`` of this app; only commands and tests import it.
"""

from .report import ErrorGroup, FlakyCron, Report, SlowCron, report
from .tallies import By

__all__ = ["By", "ErrorGroup", "FlakyCron", "Report", "SlowCron", "report"]
