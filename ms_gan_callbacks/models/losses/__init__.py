"""Objectives, functions of the discriminator's scores, and penalties on its gradients.

Scores are the discriminator's outputs, ``(N, 1)`` or ``(N,)``: probabilities in (0, 1) if it ends in a sigmoid,
else logits or a critic's values. Losses are compiled into the training step, so they may only use MindSpore
operations.
"""
