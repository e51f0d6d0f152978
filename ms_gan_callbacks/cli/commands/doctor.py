"""``ms-gan doctor``."""

from __future__ import annotations

import click

COLOURS = {"ok": "green", "warning": "yellow", "broken": "red"}
EXIT_CODES = {"ok": 0, "warning": 3, "broken": 1}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, for an issue report.")
@click.option("--no-training", "skip", is_flag=True, help="Neither import MindSpore nor train.")
@click.pass_context
def command(context: click.Context, as_json: bool, skip: bool) -> None:
    """Check this installation. Looks at versions, wheels, CPUs, memory, variables, disk and a short training.

    Each line is ok, a warning, or broken, with the cure. The training takes ten steps, twice, in about ten
    seconds. Attach the output of ms-gan doctor --json to issue reports.

    Exit codes: 0 all is ok; 3 there are warnings; 1 something is broken.
    """
    from dataclasses import asdict
    from itertools import chain

    from ms_gan_callbacks.cli.installation import STATES, check_all
    from ms_gan_callbacks.cli.trial_training import check_training
    from ms_gan_callbacks.storage.files import to_json

    checks = []
    for check in chain(check_all(), () if skip else check_training()):
        checks.append(check)
        if not as_json:
            mark = click.style(f"{check.state:<8}", fg=COLOURS[check.state])
            click.echo(
                f"{mark} {check.name}: {check.text}" + (f"\n{'':<8} cure: {check.cure}" if check.cure else "")
            )
    worst = max((check.state for check in checks), key=STATES.index)
    if as_json:
        click.echo(to_json({"state": worst, "checks": [asdict(check) for check in checks]}).decode(), nl=False)
    context.exit(EXIT_CODES[worst])
