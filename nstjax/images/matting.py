"""The matting Laplacian of a picture as a sparse matrix."""

import numpy as np
import scipy.sparse

from nstjax.errors import UserError

_SIDE = 3


def matting_laplacian(image: np.ndarray, *, epsilon: float = 1e-7) -> scipy.sparse.csr_array:
    r"""L, for which x^T L x is the energy of `nstjax.losses.matting` by its convention "deep_photo".

    .. math:: L_{ij} = \sum_{k \ni i, j} \delta_{ij} - \tfrac19 \big(1 + (I_i - \mu_k)^\top
              (\Sigma_k + \tfrac\epsilon9 1)^{-1} (I_j - \mu_k)\big)

    k are the windows of 3 x 3 pixels inside the picture. Symmetric, positive semidefinite; 1 is in its null
    space, and the picture's channels are as epsilon goes to 0.

    Args:
      image: [H, W, 3] in [0, 1]; computed in float64.
      epsilon: ridge.

    Returns:
      [H W, H W] float64, at most 25 entries a row; pixels are counted along rows. The transpose of a picture
      gives the order of the authors' MATLAB code.

    Raises:
      UserError: for a picture of less than 3 x 3 pixels.

    References:
      Levin et al. 2008, https://doi.org/10.1109/TPAMI.2007.1177
    """
    h, w, c = image.shape
    if min(h, w) < _SIDE:
        raise UserError(f"a matting Laplacian needs 3 x 3 pixels; got {w} x {h}")
    places = np.lib.stride_tricks.sliding_window_view(np.arange(h * w).reshape(h, w), (_SIDE, _SIDE))
    places = places.reshape(-1, _SIDE**2)
    colours = np.asarray(image, np.float64).reshape(-1, c)[places]
    apart = colours - colours.mean(1, keepdims=True)
    covariance = apart.swapaxes(1, 2) @ apart / _SIDE**2
    solved = np.linalg.solve(covariance + epsilon / _SIDE**2 * np.eye(c), apart.swapaxes(1, 2))
    values = np.eye(_SIDE**2) - (1 + apart @ solved) / _SIDE**2
    rows, columns = np.repeat(places, _SIDE**2, 1), np.tile(places, (1, _SIDE**2))
    entries = values.reshape(-1), (rows.reshape(-1), columns.reshape(-1))
    return scipy.sparse.coo_array(entries, shape=(h * w, h * w)).tocsr()
