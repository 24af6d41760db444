"""Products of two activations: for each place in the batch a fully connected layer with weights of its own."""
