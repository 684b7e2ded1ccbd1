"""What the crons call: nothing in here changes when a project moves."""

STALLS = ("pier", "harbour", "market")


def ripen() -> int:
    """Every stall's bananas are a day older; returns how many stalls there are."""
    return len(STALLS)


def throw_away() -> int:
    return 0


def order() -> list[str]:
    return [f"ten crates for the {stall}" for stall in STALLS]
