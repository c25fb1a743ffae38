"""What `penstock profile` measures: a service under load, stage by stage, and the hot spots of its model."""
