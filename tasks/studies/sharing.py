"""Corpus and teacher of a study's cells, made once for all cells of all studies that agree on them.

They lie in `scratch/studies/shared/HASH/`, to which cells have links; HASH is that of all parameters they depend on.
"""

import json
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

from filelock import FileLock

from tasks.params.pipeline import Params
from tasks.paths import Paths
from tasks.watch import Watch

DEPENDS_ON = ("problem", "corpus", "preprocess", "frontend", "teacher", "outputs", "student_augment")
"""Keys of params that corpus, teacher and the teacher's stored outputs are made by."""

SHARED = (Path("data"), Path("models", "teacher"), Path("outputs", "teacher"))

ToWatch = Callable[[str], Watch]


def shared_folder(params: Params, studies: Path) -> Path:
    """Where the corpus and teacher of these parameters lie, under the folder of all studies."""
    from tasks.outputs import is_read

    keys = {key: params.model_dump(mode="json").get(key) for key in DEPENDS_ON}
    text = json.dumps([keys, is_read(params, "teacher")], sort_keys=True)
    return studies / "shared" / blake2b(text.encode(), digest_size=8).hexdigest()


def link_corpus_and_teacher(params: Params, root: Path, studies: Path, watch: ToWatch) -> None:
    """Make what is missing of them, one process at a time, and link them into the cell's root."""
    folder = shared_folder(params, studies)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        _make(params, Paths(folder), watch)
    for part in SHARED:
        link = root / part
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to((folder / part).resolve())


def _make(params: Params, paths: Paths, watch: ToWatch) -> None:
    from tasks import corpus, outputs, preprocess, teacher

    if not (paths.prepared / "prepared.json").is_file():
        corpus.run(params, paths, "", watch("corpus"))
        preprocess.run(params, paths, "", watch("preprocess"))
    done = paths.root / "done"
    if not done.is_file():
        teacher.run(params, paths, "", watch("teacher"))
        outputs.run(params, paths, "", watch("outputs"))
        done.touch()
