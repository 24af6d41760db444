"""Networks from other programs' files: a workload's plain data, and weights where the file has any."""
