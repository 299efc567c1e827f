"""What a tokenizer is trained against: perceptual distances, discriminators, adversarial losses."""
