"""``chatglm-server cache``: the prompts whose keys and values are on disk."""

from __future__ import annotations

from ..decoding.snapshots.folder import age_s, clear, default_folder, stored_prefixes
from ..errors import ModelFileError
from ..hub.sizes import size_text
from .commands import CacheOptions
from .tables import path_text, print_table

_UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


def run_cache(options: CacheOptions) -> int:
    """Returns the exit status, 0. Raises: ModelFileError."""
    root = default_folder()
    if options.action == "clear":
        try:
            freed = clear(root)
        except OSError as error:
            raise ModelFileError(f"{root}: {error.strerror or error}") from None
        print(f"deleted, {size_text(freed)} are free again")
        return 0
    prefixes = stored_prefixes(root)
    rows = [
        (prefix.model, str(prefix.tokens), size_text(prefix.size), _age_text(age_s(prefix)), path_text(prefix.path))
        for prefix in prefixes
    ]
    print_table([("MODEL", "TOKENS", "SIZE", "USED", "LAST BLOCK"), *rows] if rows else [])
    total = size_text(sum(prefix.size for prefix in prefixes))
    print(f"\n{total} in all; chatglm-server cache clear deletes them" if rows else f"No prompts in {root}.")
    return 0


def _age_text(seconds: float) -> str:
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= 2 * size), (1, "seconds"))
    return f"{seconds / size:.0f} {unit} ago"
