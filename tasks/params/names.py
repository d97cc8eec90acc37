"""What may be called what: names in params.yaml become folders and stages."""

from collections.abc import Collection

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
"""How the files of tables end that users write: `tasks.data.tables` reads them."""
MOST_LETTERS = 80  # of 3 bytes each, with space for a suffix in the 255 bytes of a folder's name


def require_folder_name(name: str, *, reserved: Collection[str] = ()) -> str:
    """The name as it is; ValueError where no folder can be called so, or the pipeline has one of that name."""
    if name in reserved:
        raise ValueError(f"nothing may be called {name}, which the pipeline uses itself: choose another name")
    if len(name) > MOST_LETTERS:
        raise ValueError(f"a name of {len(name)} letters, but it names folders, which take {MOST_LETTERS}: shorten it")
    if not name.replace("_", "").replace("-", "").isalnum():
        raise ValueError(f"'{name}' names folders: use letters, digits, - and _")
    return name
