"""Benchmarks: what the house costs, beside what others cost, measured in one and the same run."""
