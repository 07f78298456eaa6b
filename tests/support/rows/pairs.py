"""Losses on pairs of positions."""

import jax
import numpy as np

from nstjax import losses
from rows.row import Row, flat


def gaussian(x, s, gamma):
    def kernel(a, b):
        return np.exp(-gamma * ((a[:, None] - b[None]) ** 2).sum(-1)).mean()

    x, s = flat(x), flat(s)
    return kernel(x, x) + kernel(s, s) - 2 * kernel(x, s)


def gaussian_paired(x, s, gamma):
    # Shuffled as the loss shuffles, then straight from mmd_loss.py: neighbours make a pair.
    keys = jax.random.split(jax.random.key(0))
    x, s = (
        flat(a)[np.argsort(np.asarray(jax.random.uniform(k, (len(flat(a)),))), kind="stable")]
        for a, k in zip((x, s), keys, strict=True)
    )
    n0 = len(x) - len(x) % 2
    if n0 == 0:
        return 0.0
    x0, x1, y0, y1 = x[0:n0:2], x[1:n0:2], s[0:n0:2], s[1:n0:2]
    diffs = [((a - b) ** 2).sum(1) for a, b in ((x0, x1), (y0, y1), (x0, y1), (y0, x1))]
    kx, ky, kxy, kyx = (np.exp(-gamma * d).sum() for d in diffs)
    return (kx + ky - kxy - kyx) / (n0 // 2)


def patches(x, size, stride):
    h, w, c = x.shape
    full = np.zeros((max(h, size), max(w, size), c))
    full[:h, :w] = x
    h, w = full.shape[:2]
    rows = [r for r in range(h - size + 1) if r % stride == 0 or r == h - size]
    columns = [r for r in range(w - size + 1) if r % stride == 0 or r == w - size]
    return [(r, q, full[r : r + size, q : q + size]) for r in rows for q in columns]


def mrf(x, s, size=3, stride=2, overlap=False):
    theirs = [p for *_, p in patches(s, size, stride)]
    ours = patches(x, size, stride)
    total, count = np.zeros((2, max(len(x), size), max(x.shape[1], size), x.shape[2]))
    for r, q, p in ours:
        response = [(p * t).sum() / np.sqrt((p**2).sum() * (t**2).sum()) for t in theirs]
        total[r : r + size, q : q + size] += (p - theirs[int(np.argmax(response))]) ** 2
        count[r : r + size, q : q + size] += 1
    if overlap:
        return 0.5 * (total / count).sum()
    return total.sum() / (len(ours) * size**2 * x.shape[2])


def cosine(a, b):
    return (a @ b.T) / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)


def contextual(x, s, h=0.5):
    i, t = flat(x) - flat(s).mean(0), flat(s) - flat(s).mean(0)
    if len(t) == 1:
        return 0.0
    d = (1 - cosine(i, t)) / 2
    w = np.exp((1 - d / (d.min(1, keepdims=True) + 1e-5)) / h)
    return -np.log((w / w.sum(1, keepdims=True)).max(0).mean())


def remd(d):
    return max(d.min(1).mean(), d.min(0).mean())


YUV = np.array([[0.577350] * 3, [-0.577350, 0.788675, -0.211325], [-0.577350, -0.211325, 0.788675]])


def palette(x, s):
    c = x.shape[-1]
    a, b = (flat(v) @ YUV.T if c == 3 else flat(v) for v in (x, s))
    return remd(1 - cosine(a, b) + np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1) / c))


def self_similarity(x, s):
    if x.shape[0] * x.shape[1] == 1:
        return 0.0
    mx, my = (1 - cosine(flat(v), flat(v)) for v in (x, s))
    return np.abs(mx / (mx.sum(0) + 1e-6 * len(mx)) - my / (my.sum(0) + 1e-6 * len(my))).mean() * len(mx)


def moment_loss(x, s):
    x, s = flat(x), flat(s)
    covariances = ((v - v.mean(0)).T @ (v - v.mean(0)) / len(v) for v in (x, s))
    return np.abs(x.mean(0) - s.mean(0)).mean() + np.abs(np.subtract(*covariances)).mean()


ROWS = (
    Row(
        "mmd_gaussian 0.2",
        losses.mmd_gaussian(gamma=0.2),
        lambda x, s: gaussian(x, s, 0.2),
        rtol=2e-5,  # its four means are near 1, known to 6e-8 each, and their sum is 0.02
    ),
    Row(
        "mmd_gaussian_paired 0.5",
        losses.mmd_gaussian_paired(gamma=0.5),
        lambda x, s: gaussian_paired(x, s, 0.5),
        estimates=True,
        cuts=False,
    ),
    Row("mrf", losses.mrf(), mrf, cuts=False),
    Row("mrf 1", losses.mrf(stride=1), lambda x, s: mrf(x, s, stride=1)),
    Row(
        "mrf cnnmrf",
        losses.mrf(convention="cnnmrf"),
        lambda x, s: mrf(x, s, overlap=True),
        cuts=False,
    ),
    # Distances are divided by the least of a row, which float32 knows to 1e-7 of 1.
    # Distances are known to 1e-7, and divided by one that may be 1e-3.
    Row("contextual", losses.contextual(), contextual, rtol=1e-4),
    Row("relaxed_emd", losses.relaxed_emd(), lambda x, s: remd(1 - cosine(flat(x), flat(s)))),
    Row("palette", losses.palette(), palette),
    Row("moments_l1", losses.moments_l1(), moment_loss),
    Row("self_similarity", losses.self_similarity(), self_similarity),
)
