"""``python -m hartley``: the command, where it is not on the path."""

from hartley.cli.start import main

if __name__ == "__main__":
    main()
