"""``python -m mirific``: the command."""

from mirific.cli import main

main()
