"""What may be claimed of error rates: intervals over speakers, paired differences, several claims at once."""

from kd.stats.difference import Difference, average_seeds
from kd.stats.holm import adjusted, holm_tails
from kd.stats.intervals import Interval, error_interval, paired_interval
from kd.stats.judgement import Judgement, judge
from kd.stats.mapsswe import MatchedPairs, mapsswe, segments
from kd.stats.mcnemar import Discordant, mcnemar

__all__ = [
    "Difference",
    "Discordant",
    "Interval",
    "Judgement",
    "MatchedPairs",
    "adjusted",
    "average_seeds",
    "error_interval",
    "holm_tails",
    "judge",
    "mapsswe",
    "mcnemar",
    "paired_interval",
    "segments",
]
