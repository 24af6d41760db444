"""What a result is a result of: the package's version and the version of the result files' form."""

from importlib.metadata import version

# Raised with every field of run.json and column of steps.csv that is added, renamed or removed.
SCHEMA_VERSION = 7
MODEL_VERSION = version("sparsetrain")
