"""``python -m coldsend``."""

from coldsend.cli.main import run

if __name__ == "__main__":
    run()
