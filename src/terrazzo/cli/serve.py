"""`terrazzo serve`."""

from pathlib import Path
from typing import Annotated

import typer

from terrazzo.cli.options import Backbone, Debug
from terrazzo.cli.session import Session
from terrazzo.errors import ConfigError

__all__ = ["serve"]

_PACKAGES = ("fastapi", "prometheus_client", "python_multipart", "rio_tiler", "uvicorn")


def serve(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="BUNDLE|RUN|KEY=VALUE",
            help="Bundles, or run folders with their best ones; and settings such as predict.window=512, "
            "machine.precision=float32 or serve.largest_pixels=4000000.",
        ),
    ],
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on (serve.host).")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one (serve.port).")] = 8000,
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Where jobs and their results lie (serve.folder).")
    ] = Path("served"),
    root: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder below which jobs may name scenes, and whose scenes are shown (serve.root)."
        ),
    ] = None,
    api_key_env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Environment variable that holds an API key; may be given several times."),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Web origin whose pages may call the server; may be given several times."),
    ] = None,
    backbone: Backbone = None,
    debug: Debug = False,
) -> None:
    """Serve models over HTTP, with a map viewer."""
    with Session("serve", debug=debug) as session:
        _require_extra()
        from terrazzo.cli.settings import changed
        from terrazzo.serve.server import serve as run_server
        from terrazzo.serve.settings import ServeSettings

        models, given = _split(arguments)
        if root is not None and not root.is_dir():
            raise ConfigError(f"--root {root} is no folder.")
        settings = changed(
            ServeSettings(
                host=host,
                port=port,
                folder=folder,
                root=root,
                api_key_env=tuple(api_key_env or ()),
                origins=tuple(origin or ()),
                predict=given["predict"],
                machine=given["machine"],
                backbone=backbone,
            ),
            "serve",
            given,
        )
        session.listener.close()
        run_server([Path(model) for model in models], settings, ready=typer.echo)


def _split(arguments: list[str]) -> tuple[list[str], dict[str, dict[str, object]]]:
    """Return the models, and the settings given among them by section and key.

    >>> _split(["a.safetensors", "serve.kept_days=1", "predict.window=64"])
    (['a.safetensors'], {'serve': {'kept_days': 1}, 'predict': {'window': 64}, 'machine': {}})
    """
    import yaml

    models: list[str] = []
    given: dict[str, dict[str, object]] = {"serve": {}, "predict": {}, "machine": {}}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        section, dot, key = name.partition(".")
        if equals and dot and section in given and key.isidentifier() and not Path(argument).exists():
            given[section][key] = yaml.safe_load(value)
        else:
            models.append(argument)
    return models, given


def _require_extra() -> None:
    """Refuse to begin without the packages of the extra.

    Raises:
        ConfigError: One is not installed.
    """
    import importlib.util

    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"`terrazzo serve` needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed: "
            'pip install "terrazzo[serve]".'
        )
