"""The bank's spelling: what merchants send is read, what the bank says is written, and the schemas hold both."""
