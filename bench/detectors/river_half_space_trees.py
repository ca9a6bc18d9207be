"""Prints how many updates (score and learn) a second river's HalfSpaceTrees makes: the peer of bench_detectors.

Run with a Python that has river; same forest as ours: 10 trees, height 8, window 250, 3 features in [0, 1].
"""
import random
import time

import river
from river import anomaly

POINTS = 20000
random.seed(1)
points = [{"a": random.random(), "b": random.random(), "c": random.random()} for _ in range(POINTS)]
model = anomaly.HalfSpaceTrees(n_trees=10, height=8, window_size=250, seed=1)
for point in points[:500]:
    model.learn_one(point)
began = time.process_time()
for point in points:
    model.score_one(point)
    model.learn_one(point)
print(river.__version__, POINTS / (time.process_time() - began))
