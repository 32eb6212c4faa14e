"""The bank's spelling: `incoming` reads it, `outgoing` writes it, `contracts` holds both to the schemas."""
