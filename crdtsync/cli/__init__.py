"""The command line: `crdtsync demo`, `serve`, `show`, `log`, `history`, `diff` and others.

One module per command, each a thin skin: it reads arguments, calls the library, and shows what
came of it. What they have in common (JSON, exit codes, errors as one line) is in `output`.
"""

from __future__ import annotations

import click

from crdtsync.cli.bundle import export, import_
from crdtsync.cli.compare import compare
from crdtsync.cli.connections import connections
from crdtsync.cli.demo import demo
from crdtsync.cli.devices import devices
from crdtsync.cli.diff import diff
from crdtsync.cli.erase import erase
from crdtsync.cli.history import history
from crdtsync.cli.log import log
from crdtsync.cli.output import CommandGroup
from crdtsync.cli.serve import serve
from crdtsync.cli.show import show
from crdtsync.cli.verify import verify

__all__ = ["main"]


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="Exit codes: 0 all is well; 1 something differs or is damaged; 2 called wrongly; "
    "3 a store or an address could not be opened.",
)
@click.version_option(package_name="crdtsync")
def main() -> None:
    """Share data between Python applications: act locally, synchronize when you can.

    Begin with `crdtsync demo`.
    """


for _command in (
    demo,
    serve,
    show,
    log,
    history,
    diff,
    verify,
    export,
    import_,
    compare,
    devices,
    connections,
    erase,
):
    main.add_command(_command)
