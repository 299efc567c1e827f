"""What a caption is worth on one set of captioned images: pairs that differ in the text alone."""
