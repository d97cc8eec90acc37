"""Numbers as the report writes them."""

NARROW = "\N{NARROW NO-BREAK SPACE}"


def percent(rate: float) -> str:
    """A rate in per cent, with one decimal."""
    return f"{100 * rate:.1f}{NARROW}%"


def points_of(difference: float) -> str:
    """A difference of rates in percentage points, with its sign."""
    return f"{100 * difference:+.1f}".replace("-", "−").replace("inf", "∞")


def share(ratio: float, what: str) -> str:
    """`1/19 of its bytes`, `76 % of its bytes`, `the same bytes` (within 5 %) or `1.3 times its bytes`."""
    if ratio <= 0.4:
        return f"1/{1 / ratio:.0f} of its {what}"
    if ratio < 0.95:
        return f"{100 * ratio:.0f}{NARROW}% of its {what}"
    return f"the same {what}" if ratio <= 1.05 else f"{ratio:.1f} times its {what}"


def compact(value: float, digits: int = 3) -> str:
    """A number in three digits: 1.23 M, 45.6 k, 789, 0.0123."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{_plain(value / size, digits)} {sign}"
    return _plain(value, digits)


def _plain(value: float, digits: int) -> str:
    """Significant digits without an exponent, trailing zeros kept so that columns look even."""
    if value == 0:
        return "0"
    text = f"{value:#.{digits}g}"
    return (f"{float(text):.0f}" if "e" in text else text).rstrip(".")
