"""A decoder that samples by flow matching against regression with a discriminator."""
