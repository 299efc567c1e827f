"""What a product's name is worth on pictures of products at 64 px."""
