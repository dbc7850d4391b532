"""``python -m kullback``."""

from kullback.cli.app import main

if __name__ == "__main__":
    main()
