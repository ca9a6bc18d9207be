"""Writes ks_oracle.csv: what scipy says of many pairs of samples, for ks_test.cpp to compare with.

Needs scipy, which the tests themselves do not: `python3 ks_oracle.py > ks_oracle.csv`. Samples are drawn with the
same generator as base/env.h's Random, so the file holds seeds instead of numbers.
"""
import math
import random

import scipy
from scipy.stats import ks_2samp

MASK = (1 << 64) - 1


class Splitmix:
    def __init__(self, seed):
        self.state = seed

    def uniform(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return ((z ^ (z >> 31)) >> 11) * 2.0**-53


def draw(kind, seed, size, shift):
    dice = Splitmix(seed)
    numbers = []
    for _ in range(size):
        u = dice.uniform()
        if kind == "uniform":
            numbers.append(u + shift)
        elif kind == "exponential":
            numbers.append(-math.log(1 - u) * (1 + shift))
        elif kind == "signed":
            numbers.append(u * 8 - 4 - shift * 8)
        else:  # half of the numbers are the same
            numbers.append(0.0 if u < 0.5 else u + shift)
    return numbers


dice = random.Random(7)
print(f"# scipy {scipy.__version__}: kind,seed,size_a,size_b,shift,distance,p_exact")
for case in range(400):
    kind = ["uniform", "exponential", "signed", "atom"][case % 4]
    size_a, size_b = (int(40 * 100 ** dice.random()) for _ in range(2))
    shift = 0 if dice.random() < 0.4 else round(dice.random() * 0.3, 3)
    found = ks_2samp(draw(kind, 2 * case, size_a, 0), draw(kind, 2 * case + 1, size_b, shift), method="exact")
    print(f"{kind},{2 * case},{size_a},{size_b},{shift},{float(found.statistic)!r},{float(found.pvalue)!r}")
