"""Sampled simulation: some tiles of a step are simulated exactly, the step is estimated with an interval."""
