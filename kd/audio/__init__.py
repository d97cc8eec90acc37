"""Audio and its features: the front end, augmentation, conditions of evaluation."""
