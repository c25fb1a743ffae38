"""What `penstock pack` makes a model's directory of: data, golden examples, a manifest, and the model's card."""
