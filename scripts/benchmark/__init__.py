"""What `scripts/bench.py` and `scripts/bench_server.py` are made of."""
