"""Forms of an exported model in fewer bits: made, decoded, judged by their errors, released or refused."""
