"""What each player tries to minimise: pure functions of the discriminator's scores, and penalties on its slope.

Scores are what the discriminator returns, of shape ``(N, 1)`` or ``(N,)``: probabilities in (0, 1) where it
ends in a sigmoid, logits or a critic's numbers where it does not. All of this is compiled into the training step,
so it may only use MindSpore operations.
"""
