"""Looking at results."""

__all__: list[str] = []
