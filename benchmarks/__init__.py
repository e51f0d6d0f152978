"""What the speed claims stand on; nothing that ships imports it. ``python -m benchmarks --help`` runs it.

How two contestants are compared:

* Each is a process of its own. It builds, takes its first step, and then takes a block of steps whenever it is
  asked to; only one is awake at a time, the others are stopped (SIGSTOP), so that no idle thread competes.
* Blocks go round in rounds, every other round in reverse order (ABBA), so that a machine that gets slower or
  faster hits all alike; a round as long as an epoch is taken in pieces, turn about. A ratio is the median of the
  ratios within the rounds; ranges are lowest and highest.
* The same models (same layers, sizes, initial distributions), batch, optimizer (Adam, same rates and betas), and
  two threads on the same two cores for everybody. Every step takes a fresh batch, gathered from all of MNIST as
  uint8 and scaled to [-1, 1], and fresh normal noise; both are inside the clock. The tutorial's loop keeps the
  ``mindspore.dataset`` pipeline that it is written with.
* A block's clock runs from its first step until its last step is computed: queues are waited for.
* Time to first step runs from the process's start to the end of its first step, imports and compiling included.

Contestants:

=============  ==================================================================================================
tutorial       MindSpore's tutorial loop as written: eager, two phases a batch
runner         ``Runner.from_recipe(...).train()`` with the recipe's callbacks, console and metrics log; the
               console draws its live lines as on a terminal, to nowhere
runner-plain   the same without callbacks (the metrics log, which every run has, is never due)
runner-stock   ``runner-plain`` on MindSpore's own layers, where this package replaces them
step           the compiled training step in a bare loop
torch          PyTorch eager as usually written: two generator forwards, default Adam
torch-best     PyTorch eager at its best: one generator forward, fused Adam, no gradients that nobody uses
torch-joined   ``torch-best`` with real and fake as one discriminator batch, as our step has them
torch-compile  ``torch`` with both networks under ``torch.compile``
floor          the step's matrix products in their fastest layouts and one flat fused Adam pass, nothing else
layer          eight convolutions of our own in one graph, as in a network: outputs and both gradients of each
layer-stock    the same of MindSpore's own
torch-layer    the same of PyTorch's, one by one
network        a U-Net or a residual generator at 64 x 64, which are not one sequence: forward and all gradients
torch-network  the same in PyTorch
=============  ==================================================================================================
"""

from pathlib import Path

ROOT = Path(__file__).parent.parent
THREADS = 2
