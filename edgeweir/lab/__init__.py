"""Replay, what-if, simulation and scores: the second host of the controllers."""
