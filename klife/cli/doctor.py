"""`klife doctor`: what is wrong between here and a cluster, and what to do next.

The exit code is 0 only when everything that was looked at is as it should be.
"""

from __future__ import annotations

from typing import Annotated

import typer

from klife.actors.network.security import Security
from klife.api.doctor.examination import examine
from klife.api.settings import check_files, connection_settings
from klife.cli.logs import errors_only
from klife.cli.terminal import Bootstrap, ConfigFile, configuration, ctrl_c_here, errors_as_lines, out


def doctor(
    topic: Annotated[
        list[str] | None, typer.Option(help="Look at the leaders of this topic; may be given several times.", show_default="all topics")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.5, help="Seconds it may take.")] = 10.0,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Knock at every address of a cluster, and say what is wrong."""
    with errors_as_lines(), ctrl_c_here(), errors_only():
        options = configuration(bootstrap, config)
        check_files(options)
        settings = connection_settings(options)
        security = Security(settings)
        try:
            report = examine(options.bootstrap_addresses, settings, security, topic or None, timeout)
        finally:
            security.close()
    out.print(str(report), markup=False)
    if not report.ok:
        raise typer.Exit(1)
