"""`python -m vrestore` is the `vrestore` command."""

from vrestore.cli import run

__all__: list[str] = []

if __name__ == "__main__":
    run()
