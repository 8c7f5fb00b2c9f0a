import json
import os
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from result_rows import row
from small_study import ABLATION, make_run, study_file

from skelray.checks import UserError
from skelray.results import earlier, schema
from skelray.results import tables as results
from skelray.study.notes import Notes

POINT = {"trial": "t0", "epoch": 3, "metric": "loss", "value": 8.25, "seconds": 1.5}

words = st.text(max_size=8)
whole = st.integers(-(2**63), 2**63 - 1)
fraction = st.floats(0, 1)
json_object = st.dictionaries(words, st.one_of(whole, fraction, words), max_size=3).map(json.dumps)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(timezone(timedelta(hours=2))))
made = {
    **dict.fromkeys(("trial", "arm", "benchmark", "protocol", "stream", "backbone", "method", "evaluation"), words),
    **dict.fromkeys(("metric", "error", "device", "version", "commit", "data"), words),
    **dict.fromkeys(("seed", "epochs", "epoch"), whole),
    **dict.fromkeys(("cell", "spec"), json_object),
    **dict.fromkeys(("target", "target_protocol"), st.one_of(st.none(), words)),
    "study": st.just("made"),
    "value": st.one_of(fraction, st.just(float("nan"))),
    "published": st.one_of(st.none(), fraction),
    **dict.fromkeys(("parameters", "published_parameters"), st.one_of(st.none(), st.floats(0, 1e3))),
    "status": st.sampled_from(["done", "stopped"]),
    "seconds": st.floats(0, 1e9),
    "started": moments,
}
rows_made = st.lists(st.fixed_dictionaries(made), max_size=5, unique_by=lambda row: tuple(row[name] for name in schema.KEY))
points_made = st.lists(
    st.fixed_dictionaries({"trial": words, "epoch": whole, "metric": words, "value": st.floats(), "seconds": st.floats()}),
    max_size=5,
    unique_by=lambda point: tuple(point[name] for name in schema.CURVES_KEY),
)


def records(frame):
    """The frame as the rows it was written from."""
    return [{name: plain(value) for name, value in row.items()} for row in frame.to_dict("records")]


def plain(value):
    if isinstance(value, float) and np.isnan(value):
        return "NaN"
    return value.to_pydatetime() if isinstance(value, datetime) and hasattr(value, "to_pydatetime") else value


def expected(rows):
    return [{name: plain(float("nan") if row[name] is None else row[name]) for name in row} for row in rows]


def in_order(rows):
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True, default=str))


@settings(max_examples=50, deadline=None)  # a write waits for the disk
@given(rows_made, points_made)
def test_what_is_written_is_read(tmp_path_factory, rows, points):
    folder = tmp_path_factory.mktemp("results")
    results.write_table("made", rows, points, folder)
    read = records(results.load("made", folder))
    for each in (read, rows):
        for r in each:
            r["started"] = r["started"].astimezone(UTC)
    assert in_order(read) == in_order(expected(rows))
    assert in_order(records(results.curves("made", folder))) == in_order(expected(points))
    written = [path.read_bytes() for path in sorted(folder.iterdir())]
    results.write_table("made", results.load("made", folder).to_dict("records"), points[::-1], folder)
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == written


def test_the_columns_are_those_of_the_schema(tmp_path):
    results.write_table("arrangement", [row()], [POINT], tmp_path)
    table = results.load("arrangement", tmp_path)
    assert tuple(table.columns) == schema.COLUMNS
    assert str(table["started"].dtype) == "datetime64[us, UTC]"
    assert table["published"].isna().all()
    assert list(results.curves("arrangement", tmp_path).columns) == list(schema.CURVES.names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arrangement.curves.parquet", "arrangement.parquet"]


def test_equal_content_in_another_order_gives_equal_files(tmp_path):
    rows = [row(trial=f"{seed}{p}", seed=seed, protocol=p) for seed in range(3) for p in ("xview", "xsub")]
    points = [POINT | {"epoch": epoch} for epoch in range(4)]
    first = results.write_table("arrangement", rows, points, tmp_path / "a")
    second = results.write_table("arrangement", rows[::-1], points[::-1], tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    assert [p.read_bytes() for p in (tmp_path / "a").iterdir()] == [p.read_bytes() for p in (tmp_path / "b").iterdir()]


def test_arms_keep_the_order_of_the_study(tmp_path):
    arms = ["[BA, NA]", "[NA, BA]", "[Mask]", "SkeletonCLR"]
    rows = [row(trial=f"{arm}{seed}", arm=arm, seed=seed) for seed in (1, 0) for arm in arms]
    results.write_table("arrangement", rows, [], tmp_path)
    table = results.load("arrangement", tmp_path)
    assert list(table["arm"].unique()) == arms
    assert list(table["seed"]) == [0, 1] * 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "no column 'colour'"),
        ({"value": 77.6}, r"'value' holds fractions 0\.\.1, got 77\.6"),
        ({"published": 77.6}, "'published' holds fractions"),
        ({"value": None}, "'value' wants double, got None"),
        ({"seed": True}, "'seed' wants int64, got True"),
        ({"seed": 1.0}, "'seed' wants int64"),
        ({"arm": 3}, "'arm' wants string, got 3"),
        ({"started": datetime(2026, 1, 1)}, "'started' wants timestamp"),
        ({"status": "ok"}, "one of done, stopped, failed, published, got 'ok'"),
        ({"status": "failed", "value": 0.5}, "failed, so its value is NaN"),
        ({"cell": "k=3"}, "'cell' holds a JSON object, got 'k=3'"),
        ({"spec": "[1]"}, "'spec' holds a JSON object"),
        ({"study": "other"}, "'other' in a row of study 'arrangement'"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        results.write_table("arrangement", [row(**change)], [], tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_missing_column_is_named(tmp_path):
    short = row()
    del short["seed"]
    with pytest.raises(ValueError, match="misses the column 'seed'"):
        results.write_table("arrangement", [short], [], tmp_path)
    with pytest.raises(ValueError, match="curves misses the column 'seconds'"):
        results.write_table("arrangement", [], [{k: v for k, v in POINT.items() if k != "seconds"}], tmp_path)


def test_two_rows_of_one_key_are_refused(tmp_path):
    with pytest.raises(ValueError, match="two rows for trial 't0', arm"):
        results.write_table("arrangement", [row(), row(value=0.1)], [], tmp_path)
    with pytest.raises(ValueError, match="two rows for trial 't0', epoch 3, metric 'loss'"):
        results.write_table("arrangement", [], [POINT, POINT], tmp_path)


@pytest.mark.parametrize("name", ["", "../up", "a.curves", "a/b", "a b"])
def test_a_study_is_named_by_plain_letters(tmp_path, name):
    with pytest.raises(ValueError, match="a study is named by"):
        results.write_table(name, [], [], tmp_path)


def test_numpy_numbers_and_text_that_is_no_unicode_are_stored(tmp_path):
    odd = row(value=np.float32(0.5), seed=np.int64(7), published=np.nan, error="no file '\udcff.npy'")
    results.write_table("arrangement", [odd], [], tmp_path)
    (read,) = results.load("arrangement", tmp_path).to_dict("records")
    assert (read["value"], read["seed"], read["error"]) == (0.5, 7, r"no file '\udcff.npy'")


def test_all_studies_concatenate(tmp_path):
    results.write_table("arrangement", [row()], [POINT], tmp_path)
    results.write_table("views", [row(study="views"), row(study="views", trial="t1", published=0.5)], [POINT], tmp_path)
    everything = results.load(folder=tmp_path)
    assert list(everything["study"]) == ["arrangement", "views", "views"]
    assert len(results.curves(folder=tmp_path)) == 1  # the shared trial was trained once
    assert results.list_tables(tmp_path) == ["arrangement", "views"]
    with pytest.raises(ValueError, match=r"no results of a study 'view' in .*; there are arrangement, views"):
        results.load("view", tmp_path)


def test_an_empty_folder_gives_an_empty_frame(tmp_path):
    assert tuple(results.load(folder=tmp_path / "none").columns) == schema.COLUMNS
    assert results.curves(folder=tmp_path).empty
    with pytest.raises(ValueError, match="there are none"):
        results.load("arrangement", tmp_path)


def test_a_file_that_is_no_table_is_named(tmp_path):
    path = results.write_table("arrangement", [row()], [POINT], tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"arrangement\.parquet cannot be read"):
        results.load("arrangement", tmp_path)
    path.write_bytes((tmp_path / "arrangement.curves.parquet").read_bytes())
    with pytest.raises(ValueError, match="no table of this version: its columns are trial, epoch"):
        results.load("arrangement", tmp_path)


def test_a_death_before_the_replacement_leaves_the_old_table(tmp_path, monkeypatch):
    results.write_table("arrangement", [row()], [POINT], tmp_path)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        results.write_table("arrangement", [row(value=0.1)], [], tmp_path)
    assert list(results.load("arrangement", tmp_path)["value"]) == [0.75]
    assert len(results.curves("arrangement", tmp_path)) == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_leaves_both_old_files(tmp_path, monkeypatch):
    results.write_table("arrangement", [row()], [POINT], tmp_path)
    write_table = pq.write_table

    def full(table, file, **settings):
        write_table(table, file, **settings)
        if table.schema.equals(schema.SCHEMA):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        results.write_table("arrangement", [row(value=0.1)], [], tmp_path)
    assert list(results.load("arrangement", tmp_path)["value"]) == [0.75]
    assert len(results.curves("arrangement", tmp_path)) == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_what_a_killed_writer_left_is_no_study_and_goes_when_old(tmp_path):
    young, old = (tmp_path / f".arrangement.parquet.{name}.tmp" for name in ("young", "old"))
    for path in (young, old):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    results.write_table("arrangement", [row()], [], tmp_path)
    assert young.exists()
    assert not old.exists()
    assert len(results.load(folder=tmp_path)) == 1


def test_a_reader_sees_the_old_or_the_new_table(tmp_path):
    versions = [[row(trial=f"{n}{seed}", seed=seed, value=n / 2) for seed in range(40 + n)] for n in range(2)]
    results.write_table("arrangement", versions[0], [], tmp_path)
    over = threading.Event()

    def rewrite():
        for turn in range(40):
            results.write_table("arrangement", versions[turn % 2], [], tmp_path)
        over.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    while not over.is_set():
        values = results.load("arrangement", tmp_path)["value"]
        assert list(values) in ([0.0] * 40, [0.5] * 41)
    writer.join()


# Tables that are not ours, damaged, or older


def crafted(folder, name="arrangement", **columns):
    """A table with some columns replaced, in the right types."""
    table = pa.Table.from_pylist([row()], schema=schema.SCHEMA)
    for column, value in columns.items():
        at = table.schema.names.index(column)
        table = table.set_column(at, schema.SCHEMA.field(column), pa.array([value], schema.SCHEMA.field(column).type))
    pq.write_table(table, folder / f"{name}.parquet")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"cell": "no JSON"}, "'cell' holds a JSON object, not 'no JSON'"),
        ({"cell": "[1]"}, "'cell' holds a JSON object"),
        ({"cell": "[" * 100_000}, "'cell' holds a JSON object"),
        ({"spec": '{"a":'}, "'spec' holds a JSON object"),
        ({"value": 1e300}, r"'value' holds fractions 0\.\.1, not 1e\+300"),
        ({"value": float("inf")}, "'value' holds fractions"),
        ({"published": -0.5}, "'published' holds fractions"),
        ({"status": "well"}, "'status' is one of done, stopped, failed, published, not 'well'"),
    ],
)
def test_a_crafted_table_is_one_sentence(tmp_path, columns, said):
    crafted(tmp_path, **columns)
    with pytest.raises(UserError, match=said) as caught:
        results.load("arrangement", tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.drop_columns("seed"), "its columns are study, trial"),
        (lambda table: table.append_column("more", table.column("arm")), "its columns are study, trial"),
        (lambda table: table.drop_columns("spec"), "its columns are study, trial"),
        (lambda table: table.cast(other_type("seed", schema.TEXT)), "its column seed is of string, and int64 is needed"),
        (lambda table: pa.table({"a": [1]}), "its columns are a"),
    ],
)
def test_a_table_of_other_columns_is_one_sentence(tmp_path, change, said):
    table = pa.Table.from_pylist([row()], schema=schema.SCHEMA)
    pq.write_table(change(table), tmp_path / "arrangement.parquet")
    with pytest.raises(UserError, match=said):
        results.load("arrangement", tmp_path)


def other_type(name, kind):
    fields = [f.with_type(kind) if f.name == name else f for f in schema.SCHEMA]
    return pa.schema(fields)


def test_a_foreign_file_does_not_keep_the_others_from_being_loaded(tmp_path):
    results.write_table("arrangement", [row()], [POINT], tmp_path)
    (tmp_path / "notes.parquet").write_bytes(b"no parquet at all")
    pq.write_table(pa.table({"price": [1, 2]}), tmp_path / "prices.parquet")
    with pytest.warns(UserWarning, match="it is left out") as told:
        frame = results.load(folder=tmp_path)
    assert list(frame["study"]) == ["arrangement"]
    said = sorted(str(one.message) for one in told)
    assert len(said) == 2
    assert "notes.parquet cannot be read" in said[0]
    assert "prices.parquet is no table of this version: its columns are price; it is left out" in said[1]
    with pytest.raises(UserError, match=r"prices\.parquet is no table of this version"):
        results.load("prices", tmp_path)
    assert len(results.curves(folder=tmp_path)) == 1  # they have no curves, which is no fault of theirs


def test_an_older_table_gets_the_targets_of_its_transfers(tmp_path):
    """It has no such columns; the specs tell, and a name that only sounds like it does not."""
    transfer = {"type": "Transfer", "benchmark": "pku_mmd2", "protocol": "xsub", "evaluation": {"type": "KNN"}}
    spec = json.dumps({"evaluations": [transfer]})
    names = ["knn on pku_mmd2 xsub", "knn on mirrored clips", "linear"]
    rows = [row(evaluation=name, spec=spec) for name in names]
    table = pa.Table.from_pylist(rows, schema=schema.SCHEMA).drop_columns(["target", "target_protocol"])
    pq.write_table(table, tmp_path / "arrangement.parquet")
    frame = results.load("arrangement", tmp_path).set_index("evaluation")
    assert tuple(results.load("arrangement", tmp_path).columns) == schema.COLUMNS
    assert (frame["target"][names[0]], frame["target_protocol"][names[0]]) == ("pku_mmd2", "xsub")
    assert frame["target"][names[1:]].isna().all()


def with_version(path, version):
    """The same table as a skelray of another version writes it: a column more, and its version told."""
    table = pq.read_table(path)
    table = table.append_column("hue", pa.array([1.0] * len(table)))
    pq.write_table(table.replace_schema_metadata({earlier.STATED: version}), path)


@pytest.mark.parametrize("version", ["2", "17", "two", ""])
def test_a_table_of_a_later_version_says_so_and_is_not_replaced(tmp_path, synthetic_data, version):
    path = study_file(tmp_path, ABLATION)
    written = results.write_table("small", [row(study="small")], [{**POINT}], tmp_path / "results")
    for file in (written, written.with_suffix(".curves.parquet")):
        with_version(file, version)
        kept = file.read_bytes()
        read = results.load if file == written else results.curves
        with pytest.raises(UserError, match=r"was written by a later skelray: .*; update skelray") as caught:
            read("small", tmp_path / "results")
        assert "\n" not in str(caught.value)
        with pytest.warns(UserWarning, match="later skelray.*it is left out"):
            assert read(folder=tmp_path / "results").empty
    run, _ = make_run(path, tmp_path, synthetic_data)
    with pytest.raises(UserError, match="later skelray"), run.session():
        pass
    assert file.read_bytes() == kept


def test_tables_from_before_a_version_was_told_are_read_beside_those_of_now():
    """Those of this repository were written before."""
    folder = Path(__file__).parents[2] / "results"
    if not (folder / "nwucla.parquet").exists():
        pytest.skip("this checkout has no results")
    for name in results.list_tables(folder):
        assert tuple(results.load(name, folder).columns) == schema.COLUMNS
        assert list(results.curves(name, folder).columns) == schema.CURVES.names
    whole = results.load(folder=folder)
    assert set(whole["study"]) == set(results.list_tables(folder))


def test_a_table_says_its_version(tmp_path):
    path = results.write_table("arrangement", [row()], [POINT], tmp_path)
    for file in (path, path.with_suffix(".curves.parquet")):
        assert pq.read_schema(file).metadata[earlier.STATED] == str(schema.VERSION).encode()


def test_a_bit_that_flips_in_a_table_is_noticed(tmp_path):
    """In a page, a page's head, the schema, or the metadata: the table is as it was written, or is said to be damaged."""
    rows = [row(trial=f"t{n}", seed=n, value=n / 50) for n in range(50)]
    path = results.write_table("arrangement", rows, [], tmp_path, notes=Notes(margin=1.25))
    whole, expected, noticed = path.read_bytes(), results.load("arrangement", tmp_path), 0
    for bit in np.random.default_rng(0).choice(8 * len(whole), 60, replace=False):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << int(bit) % 8
        path.write_bytes(changed)
        try:
            found = results.load("arrangement", tmp_path)
        except UserError:
            noticed += 1
        else:
            assert found.equals(expected)
            assert found.attrs == expected.attrs
    assert noticed > 20
