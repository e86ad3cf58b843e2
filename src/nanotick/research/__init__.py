"""What is done with runs: the backtest façade, results, statistics and reports."""
