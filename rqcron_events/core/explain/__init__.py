"""Why a slot fired or did not: start with ``slot``. ``queries.explain`` loads the evidence."""
