"""`python -m nanotick`: the same as the command `nanotick`."""

from nanotick.cli.app import main

if __name__ == "__main__":
    main()
