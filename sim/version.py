"""What a result is a result of: the package's version and the version of the result files' form."""

from importlib.metadata import version

SCHEMA_VERSION = 1
MODEL_VERSION = version("sparsetrain")
