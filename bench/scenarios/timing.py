"""How long actors wait between two steps: log-normal gaps, as measured on agents."""

import math

SECOND, MINUTE, HOUR, DAY = 1.0, 60.0, 3600.0, 86400.0


def lognormal(rng, median, sigma, floor=0.0):
    """One gap in seconds."""
    return max(floor, rng.lognormvariate(math.log(median), sigma))


def fast(rng):
    """The gap of an autonomous agent: median 0.8 s, sigma 0.6, never under 50 ms."""
    return lognormal(rng, 0.8, 0.6, 0.05)


def slow(rng):
    """The gap of a patient actor: median 15 to 20 s, now and then a burst."""
    return fast(rng) if rng.random() < 0.15 else lognormal(rng, 20.0, 0.6, 1.0)


def working(rng):
    """The gap of an agent that works for somebody: a model thinks between two calls."""
    return lognormal(rng, 3.0, 0.7, 0.2)


def every(seconds, sigma=0.35):
    """A pace whose mean gap is so many seconds."""
    median = seconds * math.exp(-sigma * sigma / 2)
    return lambda rng: lognormal(rng, median, sigma, 0.001)
