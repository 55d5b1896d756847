"""`make bench`: the budgets of DESIGN section 10, each measured beside its peer in the same run.

How it is run; rows are named after their modules in tests/benchmark/rows:

    python -m tests.benchmark                 every row; writes docs/benchmark.md and docs/benchmark.json
    python -m tests.benchmark latency tls     some rows; prints the table and writes nothing
    python -m tests.benchmark --quick         small numbers, to see that every row runs; writes nothing
"""
