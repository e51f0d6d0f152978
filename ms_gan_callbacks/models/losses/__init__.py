"""What each player tries to minimise: pure functions of the discriminator's scores, and penalties on its slope.

Scores are what the discriminator returns, of shape ``(N, 1)`` or ``(N,)``: probabilities in (0, 1) where it
ends in a sigmoid, logits or a critic's numbers where it does not. All of this is compiled into the training step,
so it may only use MindSpore operations.
"""

from __future__ import annotations

from ms_gan_callbacks.models.losses.adversarial import (
    AuxiliaryClassifier,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    RelativisticAverage,
    Wasserstein,
)
from ms_gan_callbacks.models.losses.objective import (
    Losses,
    Objective,
    check_scores,
    complete_objective,
    critic_value,
    game_value,
)
from ms_gan_callbacks.models.losses.penalties import DRAGAN, R1, GradientPenalty, Penalty, check_penalty
from ms_gan_callbacks.models.losses.state import collect_state

__all__ = [
    "DRAGAN",
    "R1",
    "AuxiliaryClassifier",
    "GradientPenalty",
    "Hinge",
    "LeastSquares",
    "Losses",
    "Minimax",
    "NonSaturating",
    "Objective",
    "Penalty",
    "RelativisticAverage",
    "Wasserstein",
    "check_penalty",
    "check_scores",
    "collect_state",
    "complete_objective",
    "critic_value",
    "game_value",
]
