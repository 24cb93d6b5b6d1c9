"""`--preset all --dry-run`: every preset for every base model, a line each."""

from __future__ import annotations

from collections.abc import Iterator

from .presets import Choice, load_presets

HEADER = ("PRESET", "BASE MODEL", "BATCH", "RATE", "EPOCHS", "LENGTH", "FIGURES")
LEFT = ("PRESET", "BASE MODEL")  # columns of text; the others are numbers


def preset_table(base_model: str = "") -> Iterator[str]:
    """Aligned lines: each preset with the base models of its language, or with one of any."""
    presets = load_presets()
    models = [presets.model(base_model)] if base_model else list(presets.models.values())
    choices = [
        presets.choose(preset, model.name)
        for preset in presets.presets.values()
        for model in models
        if base_model or model.language == preset.language
    ]
    rows = [HEADER, *map(_row, choices)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER) - 1)]
    for row in rows:
        cells = [
            cell.ljust(width) if name in LEFT else cell.rjust(width)
            for name, cell, width in zip(HEADER[:-1], row, widths, strict=False)
        ]
        yield "  ".join([*cells, row[-1]])
    yield ""
    yield (
        f"{len(presets.presets)} presets, {len(models)} base models, {len(choices)} lines; "
        "`--preset NAME --base-model MODEL --dry-run` plans one"
    )


def _row(choice: Choice) -> tuple[str, ...]:
    train = choice.train
    numbers = (f"{train['batch_size']}", f"{train['learning_rate']:g}", f"{train['epochs']:g}", f"{choice.max_length}")
    return choice.preset.name, choice.model.name, *numbers, "its own" if choice.exact else f"fallback: {choice.row}"
