"""``medserver manual``: the pages of ``medserver/manual``, which are installed with the program."""

from __future__ import annotations

from pathlib import Path

import click

MANUAL = Path(__file__).parents[1] / "manual"
SUFFIX = ".rst"


def pages() -> dict[str, str]:
    """Return the text of each topic, sorted by its name. The first line of a text is its title."""
    return {path.stem: path.read_text("utf-8") for path in sorted(MANUAL.glob(f"*{SUFFIX}"))}


@click.command()
@click.argument("topic", required=False)
def command(topic: str | None) -> None:
    """Print TOPIC of the manual, or list the topics.

    The pages are written in reStructuredText, and their examples continue the tour of README.rst.
    """
    texts = pages()
    if topic is None:
        width = max(map(len, texts))
        for name, text in texts.items():
            click.echo(f"{name:{width}}  {text.partition(chr(10))[0]}")
    elif topic in texts:
        click.echo(texts[topic], nl=False)
    else:
        raise click.BadParameter(f"no topic {topic!r}; there are {', '.join(texts)}", param_hint="TOPIC")
