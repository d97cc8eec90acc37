"""From recordings of any kind to one flat file of samples, and a table of where each utterance lies in it."""
