"""Lets `python -m crdtsync.cli` be the command `crdtsync`."""

from crdtsync.cli import main

if __name__ == "__main__":
    main(prog_name="crdtsync")
