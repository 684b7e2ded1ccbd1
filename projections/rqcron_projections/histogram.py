"""Durations counted into buckets that widen with the value, so that days can be added up.

Integers only: a replay on another machine must put every value into the same bucket, and the
logarithm of two C libraries differs in the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

__all__ = [
    "RELATIVE_ERROR",
    "bucket_of",
    "bucket_range_us",
    "counts_of",
    "pack",
    "packed_number",
    "percentile_us",
]

BITS = 5
"""Each doubling of the value is cut into 2**5 buckets."""
FINE = 2 << BITS
"""Values below it, in microseconds, have a bucket of their own."""
RELATIVE_ERROR = 2.0 ** -(BITS + 1)
"""Of a percentile, at most: 1.5625 %. Half a bucket's width, against its lower end."""


def bucket_of(value_us: int) -> int:
    """The bucket of a duration in microseconds; negative ones count as zero."""
    if value_us < FINE:
        return max(value_us, 0)
    shift = value_us.bit_length() - BITS - 1
    return (shift + 1 << BITS) + (value_us >> shift) - (1 << BITS)


def bucket_range_us(bucket: int) -> tuple[int, int]:
    """Its values: from the first to before the second.

    >>> bucket_range_us(bucket_of(1_000_000))
    (999424, 1015808)
    """
    if bucket < FINE:
        return bucket, bucket + 1
    shift, rest = (bucket >> BITS) - 1, bucket & (1 << BITS) - 1
    low = (1 << BITS) + rest << shift
    return low, low + (1 << shift)


COUNT_DIGITS = 10
"""Hexadecimal digits of one count: 40 bits, a million million values."""
COUNT_BITS = 4 * COUNT_DIGITS


def packed_number(text: str) -> int:
    """A packed histogram as one integer with 40 bits per bucket: adding these adds histograms.

    Ten times faster than adding parsed JSON bucket by bucket, which is what years of days need.
    """
    lowest, _, digits = text.partition(":")
    # Through bytes, which is several times quicker than int(digits, 16).
    return int.from_bytes(bytes.fromhex(digits)) << COUNT_BITS * int(lowest) if digits else 0


def counts_of(number: int) -> dict[int, int]:
    """The counts per bucket, ascending, of what ``packed_number`` gives or of sums of it."""
    if not number:
        return {}
    lowest = ((number & -number).bit_length() - 1) // COUNT_BITS
    number >>= lowest * COUNT_BITS
    width = COUNT_BITS // 8
    buckets = -(-number.bit_length() // COUNT_BITS)
    packed = number.to_bytes(buckets * width, "little")
    found: dict[int, int] = {}
    for place in range(buckets):
        if count := int.from_bytes(packed[place * width : (place + 1) * width], "little"):
            found[lowest + place] = count
    return found


def pack(counts: Mapping[int, int]) -> str:
    """``<lowest bucket>:<10 hexadecimal digits per bucket, the highest first>``; may be empty.

    >>> pack({3: 1, 4: 255})
    '3:00000000ff0000000001'
    """
    if not counts:
        return ""
    lowest, highest = min(counts), max(counts)
    number = 0
    for bucket, count in counts.items():
        number |= count << (bucket - lowest) * COUNT_BITS
    return f"{lowest}:{number:0{(highest - lowest + 1) * COUNT_DIGITS}x}"


def percentile_us(counts: Mapping[int, int], fraction: float, low_us: int, high_us: int) -> float:
    """The smallest value that ``fraction`` of all values do not exceed, within RELATIVE_ERROR.

    ``counts`` are values per bucket, at least one; ``low_us`` and ``high_us`` the true extremes.
    """
    wanted = max(ceil(fraction * sum(counts.values())), 1)
    for bucket in sorted(counts):
        wanted -= counts[bucket]
        if wanted <= 0:
            begin, end = bucket_range_us(bucket)
            middle = begin if end - begin == 1 else (begin + end) / 2
            return min(max(middle, low_us), high_us)
    raise AssertionError("a histogram has as many values as its buckets")
