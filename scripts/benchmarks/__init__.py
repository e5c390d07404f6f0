"""The measurements of scripts/benchmark.py: one function for each row."""
