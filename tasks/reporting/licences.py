"""Under what terms a corpus's recordings may be used, as its makers say."""

from tasks.params.corpora import CorpusParams

KNOWN = {
    "synthetic": "made here by eSpeak NG, a program under GPL-3.0-or-later, from the phrases of the parameters",
    "fsdd": "Free Spoken Digit Dataset, CC BY-SA 4.0",
    "common_voice": "Common Voice, CC0 1.0",
    "SPEECHCOMMANDS": "Speech Commands, CC BY 4.0",
    "LIBRISPEECH": "LibriSpeech, CC BY 4.0",
}


def licence_of(corpus: CorpusParams) -> str:
    """One phrase; where nobody has said, that."""
    if corpus.licence is not None:
        return corpus.licence
    name = corpus.dataset if corpus.kind == "torchaudio" else corpus.kind
    return KNOWN.get(name, "not stated; ask whoever made the recordings, and set corpus.licence")
