"""How gradients are pruned: models of the threshold, and what happens at a site."""
