"""Text: vocabulary, decoding and error rates."""
