"""Pictures painted by rule, one hand per file, to serve as styles: `python -m tools.paintings`."""

from tools.paintings import brushwork as brushwork
from tools.paintings import hatching as hatching
from tools.paintings import mosaic as mosaic
from tools.paintings import stained_glass as stained_glass
from tools.paintings import watercolour as watercolour
from tools.paintings import woodblock as woodblock
