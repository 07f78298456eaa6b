"""The curves of a run's page."""

import pytest

from nstjax.runs import report


@pytest.mark.parametrize("name", ["style", "$", "$x$", r"\frac", "a_b^c", "<i>&", "größe"])
def test_a_term_of_any_name_has_its_curve(name):
    rows = [{"step": i, "evaluations": i, "total": 1.0, f"{name}/relu1_1": 1.0 / (1 + i)} for i in range(3)]
    drawn = report._curves(rows)
    shown = name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert f">{shown}</text>" in drawn and "<path" in drawn
