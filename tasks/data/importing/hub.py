"""A data set on Hugging Face's hub by its name: which configurations and splits it has as Parquet."""

from collections.abc import Callable
from typing import Any

from tasks.data.corpora.huggingface import top_of
from tasks.data.remote import folders_at
from tasks.params.corpus_formats import FilePart, HuggingFaceCorpus
from tasks.params.trained import NOTHING

PREFIX = "hf:"


def hub_settings(name: str, part_of: Callable[[str], FilePart]) -> dict[str, Any]:
    """The section `corpus` of OWNER/NAME or OWNER/NAME/CONFIG. Of one split alone, it is divided.

    Raises ValueError where there is none of the name, or it has several configurations and none is said.
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
    files = {part_of(split): f"{config}/{split}/*.parquet" for split in splits if part_of(split) != "all"}
    if len(files) < 2:
        files = {"all": f"{config}/{splits[0] if len(splits) == 1 else '*'}/*.parquet"}
    return {"kind": "huggingface", "root": NOTHING, "hub": hub, "files": files}
