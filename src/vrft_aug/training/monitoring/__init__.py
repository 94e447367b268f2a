"""What watches a stage while it trains: figures, alarms, probes, logs."""
