"""The data, the judgments, the recipes, the releases."""

__version__ = "0.1.0"  # of Concord as a whole; pyproject.toml says the same (a test holds the two together)
