"""Sweeps of universal transfer."""


@pytest.mark.parametrize("vary, keys", [("transform", 4), ("alpha", 5), ("levels", 5)])
def test_what_a_sweep_varies_is_read(vary, keys, tmp_path):
    module = runpy.run_path(str(CONFIG))
    planned = module["get_sweep"](f"vary={vary},smoke")
    points = sweeprun.load(design.configs(module["get_config"](f"vary={vary},smoke"), planned), tmp_path)
    assert len(points) == keys
    found = {str(point.config[vary]) for point in points.values()}
    assert len(found) == keys and len({id(point.content) for point in points.values()}) == 1
    with pytest.raises(UserError, match="vary=apha is unknown; did you mean 'alpha'"):
        module["get_sweep"]("vary=apha")


def test_transfers_are_swept_with_the_same_report(tmp_path):
    module = runpy.run_path(str(CONFIG))
    planned = module["get_sweep"]("vary=transform,smoke")
    made = module["get_config"]("vary=transform,smoke").copy_and_resolve_references()
    with made.unlocked():
        made.update({"size": 24, "levels": (2, 1), "measured_by": "random-tiny"})
    (tmp_path / "sweep").mkdir()
    points = sweeprun.load(design.configs(made, planned), tmp_path / "sweep")
    chosen = dict(list(points.items())[:2])
    sweeprun.write_plan(design.plan(planned, "wct", "python x"), tmp_path / "sweep")
    stand = sweeprun.run_points(chosen, tmp_path / "sweep")
    assert stand.finished == tuple(chosen) and not stand.failed
    kind = kinds.TRANSFERRED
    encoder = kind.encoder(points[stand.finished[0]])
    measure.measure_points(chosen, tmp_path / "sweep", encoder, kind.subject)
    left = sweepreport.write(tmp_path / "sweep")
    rows = left["results"].read_text().splitlines()
    assert len(rows) == 5 and sum(",finished," in row for row in rows) == 2
    folder = tmp_path / "sweep" / "points" / stand.finished[0]
    alone = paint(made, tmp_path / "alone")
    np.testing.assert_allclose(
        images.load_picture(str(folder / "image.png")).pixels / 255, alone, atol=1.5 / 255
    )
    losses = files.read_json(folder / "measures.json")["losses"]
    assert losses["covariance"]["relu1_1"] < 1 and set(files.read_json(folder / "cost.json")) >= {"seconds"}
    before = folder.stat().st_mtime_ns
    sweeprun.run_points(chosen, tmp_path / "sweep")
    assert folder.stat().st_mtime_ns == before
