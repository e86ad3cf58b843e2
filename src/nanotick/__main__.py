"""`python -m nanotick`: the command line."""

from nanotick.cli.app import main

main()
