"""Corpus and teacher of a study's cells, made once for all cells of all studies that agree on them.

They lie in `scratch/studies/shared/HASH/`, to which cells have links; HASH is that of all parameters they depend on.
"""

import json
from hashlib import blake2b
from pathlib import Path

from filelock import FileLock

from kd.config.renamed import in_old_words
from tasks.experiments.chain import Chain, ReporterFor
from tasks.params.graph import reads_logits
from tasks.params.pipeline import Params

DEPENDS_ON = ("problem", "corpus", "preprocess", "frontend", "teacher", "logit_cache", "student_augment")
"""Keys of params that corpus, teacher and the teacher's cached logits are made by."""

SHARED_STAGES = ("corpus", "preprocess", "teacher", "cache_logits")
SHARED = (Path("data"), Path("models", "teacher"), Path("outputs", "teacher"))
"""What these stages write."""


def shared_folder(params: Params, studies: Path) -> Path:
    """Where the corpus and teacher of these parameters lie, under the folder of all studies."""
    keys = {key: params.model_dump(mode="json").get(key) for key in DEPENDS_ON}
    text = json.dumps([in_old_words(keys), reads_logits(params, "teacher")], sort_keys=True)
    return studies / "shared" / blake2b(text.encode(), digest_size=8).hexdigest()


def link_corpus_and_teacher(params: Params, root: Path, studies: Path, project: Path, reporter: ReporterFor) -> None:
    """Make what is missing of them, one process at a time, and link them into the cell's root."""
    folder = shared_folder(params, studies)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        chain = Chain(params, folder, project, reporter)
        for stage in SHARED_STAGES:
            chain.make(stage)
    for part in SHARED:
        link = root / part
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to((folder / part).resolve())
