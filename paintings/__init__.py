"""Pictures painted by rule, one hand a file, to serve as style pictures: `python -m paintings`."""

from paintings import brushwork as brushwork
from paintings import hatching as hatching
from paintings import mosaic as mosaic
from paintings import stained_glass as stained_glass
from paintings import watercolour as watercolour
from paintings import woodblock as woodblock
