"""A network with one hidden layer (ReLU) and a softmax on top, in plain Python.

Pictures are sparse: half of the pixels are white. A picture is therefore a list of (pixel, ink) pairs, and the first
layer keeps its weights by pixel, so that work is done for ink alone. Sums run in a fixed order: the same rows and
options give the same bits.
"""

import math
import random

PIXELS = 64
CLASSES = 10
DARKEST = 16.0


def read_rows(path):
    """Returns (picture, digit) pairs."""
    rows = []
    with open(path, encoding="ascii") as lines:
        for line in lines:
            *ink, digit = map(int, line.split(","))
            picture = [(pixel, value / DARKEST) for pixel, value in enumerate(ink) if value]
            rows.append((picture, digit))
    return rows


class Network:
    """Weights and biases of both layers."""

    def __init__(self, first, first_bias, second, second_bias):
        self.first = first  # by pixel, then by unit
        self.first_bias = first_bias
        self.second = second  # by class, then by unit
        self.second_bias = second_bias

    @classmethod
    def random(cls, hidden, seed):
        """Returns a network with small random weights."""
        draw = random.Random(seed).random
        table = lambda height, width, spread: [
            [(2.0 * draw() - 1.0) * spread for _ in range(width)] for _ in range(height)
        ]
        return cls(
            table(PIXELS, hidden, math.sqrt(6.0 / PIXELS)),
            [0.0] * hidden,
            table(CLASSES, hidden, math.sqrt(6.0 / hidden)),
            [0.0] * CLASSES,
        )

    def forward(self, picture):
        """Returns the activations of the hidden units and the probability of each digit."""
        units = self.first_bias
        for pixel, ink in picture:
            units = [unit + ink * weight for unit, weight in zip(units, self.first[pixel])]
        units = [unit if unit > 0.0 else 0.0 for unit in units]

        scores = []
        for weights, score in zip(self.second, self.second_bias):
            for unit, weight in zip(units, weights):
                score += unit * weight
            scores.append(score)
        top = max(scores)
        powers = [math.exp(score - top) for score in scores]
        total = 0.0
        for power in powers:
            total += power
        return units, [power / total for power in powers]

    def learn(self, picture, digit, rate):
        """Takes one step of gradient descent and returns the loss before it."""
        units, chances = self.forward(picture)
        loss = -math.log(max(chances[digit], 1e-12))

        steps = [rate * chance for chance in chances]
        steps[digit] -= rate
        back = [0.0] * len(units)
        for label, step in enumerate(steps):
            weights = self.second[label]
            back = [sum_ + step * weight for sum_, weight in zip(back, weights)]
            self.second[label] = [weight - step * unit for weight, unit in zip(weights, units)]
            self.second_bias[label] -= step

        back = [step if unit > 0.0 else 0.0 for step, unit in zip(back, units)]
        self.first_bias = [bias - step for bias, step in zip(self.first_bias, back)]
        for pixel, ink in picture:
            weights = self.first[pixel]
            self.first[pixel] = [weight - ink * step for weight, step in zip(weights, back)]
        return loss
