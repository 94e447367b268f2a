"""Clinical evaluation: metrics with intervals, comparison of runs, and what a report rests on."""
