"""What a kill, a full disk or a second trainer does to a run, an export and a server: python -m benchmarks.kills"""
