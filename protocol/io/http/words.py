"""Numbers and durations as people say them. Pure."""


def duration(seconds: float) -> str:
    """`45 s`, `29 min`, `11 h 59 min`."""
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if not minutes:
        return f"{seconds:.0f} s"
    return f"{hours:,} h {minutes % 60} min" if hours else f"{minutes} min"


def counted(count: int, noun: str) -> str:
    """`1 session`, `1,234 sessions`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def amount(number: float) -> str:
    """Whole numbers with commas; small rates with one digit behind the point."""
    if number == 0 or number >= 10 or number == int(number):
        return f"{number:,.0f}"
    return f"{number:.1f}"
