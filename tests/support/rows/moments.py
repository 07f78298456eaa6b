"""Losses on statistics that are means over positions."""

import numpy as np

from nstjax import losses
from rows.row import Row, flat


def gram_n(x, s):
    return ((flat(x).T @ flat(x) / len(flat(x)) - flat(s).T @ flat(s) / len(flat(s))) ** 2).mean()


def gram_l1(x, s):
    d = flat(x).T @ flat(x) / len(flat(x)) - flat(s).T @ flat(s) / len(flat(s))
    return (d**2).sum() / (np.abs(d).sum() + 1e-8)


def cov(x):
    return np.cov(flat(x).T, bias=True).reshape(x.shape[-1], -1)


def corr(x, eps=1e-5):
    sigma = cov(x)
    d = np.diag(1 / np.sqrt(np.diag(sigma) + eps))
    return d @ sigma @ d


def moments(x, s):
    mean = (flat(x).mean(0) - flat(s).mean(0)) ** 2
    std = (np.sqrt(flat(x).var(0) + 1e-6) - np.sqrt(flat(s).var(0) + 1e-6)) ** 2
    return (mean + std).mean()


def central(x, orders):
    mean = flat(x).mean(0)
    return [mean, *[((flat(x) - mean) ** k).mean(0) for k in range(2, orders + 1)]]


def cmd(x, s, orders=5, f=lambda x: 1 / (1 + np.exp(-x))):
    pairs = zip(central(f(x), orders), central(f(s), orders), strict=True)
    return sum(np.linalg.norm(a - b) for a, b in pairs)


def kernel_distance(x, s, kernel):
    a, b = flat(x), flat(s)
    return kernel(a @ a.T).mean() + kernel(b @ b.T).mean() - 2 * kernel(a @ b.T).mean()


def shifted(x, s, shifts=(1, 3)):
    def matrices(x):
        pairs = [(x[:, :-d], x[:, d:]) for d in shifts] + [(x[:-d], x[d:]) for d in shifts]
        return [
            flat(a).T @ flat(b) / len(flat(a)) if a.size else np.zeros((x.shape[-1],) * 2) for a, b in pairs
        ]

    return np.mean([((a - b) ** 2).mean() for a, b in zip(matrices(x), matrices(s), strict=True)])


def between(x, s):
    first, second = ((flat(i)[:, :1].T @ flat(i)[:, 1:]) / len(flat(i)) for i in (x, s))
    return ((first - second) ** 2).mean()


ROWS = (
    Row("gram", losses.gram(), gram_n),
    Row("gram shifted", losses.gram(shift=-1.0), lambda x, s: gram_n(x - 1, s - 1)),
    Row("gram_l1_normalised", losses.gram_l1_normalised(), gram_l1),
    Row("covariance", losses.covariance(), lambda x, s: ((cov(x) - cov(s)) ** 2).mean()),
    Row("correlation", losses.correlation(), lambda x, s: ((corr(x) - corr(s)) ** 2).mean()),
    Row("mean_std", losses.mean_std(), moments),
    Row("mean_std summed", losses.mean_std(convention="adain"), lambda x, s: x.shape[-1] * moments(x, s)),
    Row("cmd", losses.cmd(), cmd),
    Row("cmd 3", losses.cmd(orders=3, squash=False), lambda x, s: cmd(x, s, 3, lambda x: x)),
    Row("mmd_linear", losses.mmd_linear(), lambda x, s: kernel_distance(x, s, lambda k: k)),
    Row("mmd_polynomial", losses.mmd_polynomial(), lambda x, s: kernel_distance(x, s, np.square)),
    Row(
        "mmd_polynomial c",
        losses.mmd_polynomial(c=2.0),
        lambda x, s: kernel_distance(x, s, lambda k: (k + 2) ** 2),
    ),
    Row("shifted_gram", losses.shifted_gram(shifts=(1, 3)), shifted),
    Row("cross_gram", losses.cross_gram(split=1), between),
)
