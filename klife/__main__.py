"""`python -m klife`: the command without its script on the PATH."""

from klife.cli import main

if __name__ == "__main__":
    main()
