"""Training: the loop, the learning rate, the state that is saved, and the record that is kept."""
