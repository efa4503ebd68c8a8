"""A policy tried out: the real engine over real check bytes, in memory, on a clock that is told what time it is."""
