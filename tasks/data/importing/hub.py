"""A data set on Hugging Face's hub by its name: which configurations and splits it has as Parquet."""

from collections.abc import Callable
from typing import Any

from tasks.data.corpora.huggingface import top_of
from tasks.data.importing.parts import by_part, part_of
from tasks.data.importing.patterns import pattern_for
from tasks.data.remote import folders_at
from tasks.params.corpus_formats import FilePart, HuggingFaceCorpus
from tasks.params.trained import NOTHING

PREFIX = "hf:"


def hub_settings(name: str, say: Callable[[str], None]) -> dict[str, Any]:
    """The section `corpus` of OWNER/NAME or OWNER/NAME/CONFIG; where its splits are of one part, they are divided.

    say: told which splits are left out, taken together, or there in part alone.

    Raises ValueError where there is none of the name, where it has several configurations and none is said, and where
    the names of its splits do not say what they are for.
    """
    owner, _, rest = name.removeprefix(PREFIX).partition("/")
    dataset, _, config = rest.partition("/")
    hub = f"{owner}/{dataset}" if dataset else owner
    revision = HuggingFaceCorpus.model_fields["revision"].default
    configs = folders_at(top_of(hub, revision))
    if not configs:
        raise ValueError(
            f"{name}: the hub has no data set {hub} as Parquet. Is the name right, and HF_TOKEN set where it is not "
            "public? Else name its Parquet files: hf://datasets/…"
        )
    if not config and len(configs) > 1:
        raise ValueError(f"{name} has several configurations: write {PREFIX}{hub}/CONFIG, one of {', '.join(configs)}")
    config = config or configs[0]
    if config not in configs:
        raise ValueError(f"{name}: {hub} has no configuration {config}; there are {', '.join(configs)}")
    splits = folders_at(f"{top_of(hub, revision)}/{config}")
    files = {part: f"{config}/{found}/*.parquet" for part, found in _parts(name, splits, say).items()}
    return {"kind": "huggingface", "root": NOTHING, "hub": hub, "files": files}


def _parts(name: str, splits: list[str], say: Callable[[str], None]) -> dict[FilePart, str]:
    """The split of each part, or a pattern that stands for exactly its splits."""
    found = by_part((part_of(split), split) for split in splits)
    left = found.pop("all", [])
    if not found:
        found, left = {"all": left}, []
    if left and "train" not in found:
        raise ValueError(_by_hand(name, splits, "which split is for training is not in their names"))
    if len(found) == 1 and not left:
        found = {"all": splits}
    patterns: dict[FilePart, str] = {}
    for part, names in found.items():
        pattern = pattern_for(names, splits)
        if pattern is None:
            raise ValueError(_by_hand(name, splits, f"{', '.join(names)} are all of the part {part}"))
        patterns[part] = pattern
        if len(names) > 1:
            say(f"{part} is {len(names)} splits together: {', '.join(names)}")
        for partial in (split for split in names if split.startswith("partial-")):
            say(f"{partial} is the beginning of a split: the hub keeps no more of it as Parquet")
    if left:
        say(f"Left out, for their names say no part: {', '.join(left)}. `files` may name them")
    return patterns


def _by_hand(name: str, splits: list[str], why: str) -> str:
    return (
        f"{name}: {why}: write the section corpus by hand (docs/guide.md, Hugging Face), with files: {{PART: "
        f'"CONFIG/SPLIT/*.parquet"}} for each of {", ".join(splits)} that is to be read'
    )
