"""How good the models are: cases with a known truth, methods, and tables of what was measured."""

__all__: list[str] = []
