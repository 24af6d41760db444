"""What stands below the charts of a study of trainings, and how its page is read."""

from __future__ import annotations

CAPTIONS = {
    "accuracy": (
        "Solid: test images behind each epoch; dotted: training images, while the weights change. Lines are means over "
        "the seeds of a rate, bands a standard deviation to both sides. A click in the legend hides a rate."
    ),
    "loss": "Solid: test images; dotted: training images; bands as before.",
    "gradients": (
        "Share of nonzeros in the gradient to the output of each layer as the layer reads it, behind pruning; the mean "
        "over the seeds. Dark is sparse; colours follow the square root, which tells small shares apart. Layers stand "
        "in the order of the network: gradients come from below."
    ),
    "inputs": "Share of nonzeros in what each layer reads going forward, on the same scale.",
    "thresholds": (
        "Hardware cannot see a whole batch before it prunes: it takes the mean of the thresholds of the five batches "
        "before, unless the FIFO was given another depth. Solid: this prediction; dotted: what the batch's own values "
        "would have given. Means of epochs; in the first, some batches pass while the FIFO fills and prune nothing."
    ),
    "quotients": "1 is a perfect prediction; above 1, more is pruned than the rate asks for. Bands as above.",
    "kept": (
        "Marks: nonzeros among all elements of each gradient in the last epoch, behind pruning. Strokes: what was "
        "aimed at, the density that the threshold's model expects to be left of the batch's own values. The axis is "
        "logarithmic, so that the same distance is the same ratio everywhere."
    ),
    "front": (
        "Large marks: means of each rate, with a standard deviation to both sides; small ones: single trainings. On "
        "the front no other rate is more accurate for less energy. The x is training without pruning on the machine "
        "that skips nothing."
    ),
    "cycles": (
        "Cycles of the machine that skips nothing over those of this one, epoch by epoch. The band is the interval of "
        "what was interpolated, with both machines off in opposite directions."
    ),
    "energy": "Energy of the machine that skips nothing over that of this one; leakage and DRAM are in both.",
}
NO_THRESHOLDS = "No threshold decided on what was pruned."
NORMAL_WORDS = (
    "Of zero-mean normal values, pruning at a rate leaves this share nonzero: with t the (1 + rate) / 2 quantile of "
    "the standard normal, 1 - rate of them lie above the threshold and stay, and of the others each stays with the "
    "probability of its magnitude over the threshold, in all 1 - rate + 2 (phi(0) - phi(t)) / t. That is 62.0, 54.9, "
    "46.0 and 30.9 % at rates of 0.7, 0.8, 0.9 and 0.99."
)
AIM_WORDS = (
    "What is aimed at counts every place where the mask lets a gradient through, as the threshold does. Where many of "
    "these hold a zero already, as pruning further back makes them, less is left than was aimed at; likewise where a "
    "gradient has more small values than the model of its threshold takes it to have."
)
HOW_TO_READ = (
    "All trainings with the same seed begin with the same weights and see the same images in the same order; only "
    "pruning differs. Differences of accuracy are taken between these pairs.",
    "Energy to the target is spent until the first epoch behind which the test accuracy is at least that of training "
    "without pruning (the mean over its seeds at the end) less 0.5 points. Trainings that do not reach it are left out "
    "of that mean, and counted.",
    "Cycles and energy are of the accelerator's convolutions, fully connected layers and elementwise passes; the host, "
    "data loading and the evaluation of test images are not charged.",
)
