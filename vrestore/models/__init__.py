"""What restores: rows of models.toml, the networks, and the Op that streams frames through them."""
