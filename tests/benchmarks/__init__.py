"""Benchmarks. Run them with `pytest tests/benchmarks/bench_*.py`; they assert nothing of seconds.

Each stands beside a floor: the bare work that nobody can do without, measured in the same run,
round by round in turn with ours. What counts is the ratio, printed as a table in the end.
"""
