"""What exporters write as several operators, found again as one."""
