"""Images in one to four steps: MeanFlow against flow matching at equal training."""
