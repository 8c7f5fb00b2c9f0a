"""What to do is said where a source cannot be prepared as it is."""

import gzip
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from raw_archives import rows
from raw_files import walk
from test_sources import BESIDE, FIRST, SECOND, TEXT, command, ntu, table

from skelray.data import MSR_ACTION3D, NTU60, NWUCLA, DataError, open_table, prepare
from skelray.data.detect import detect
from skelray.data.formats.ntu import read_skeleton
from skelray.data.formats.text import parse_matrix
from skelray.data.own.starter import Undescribed

# The way out --------------------------------------------------------------------------------------------------------


def test_a_refused_source_tells_of_tables(tmp_path):
    (tmp_path / "notes.md").write_text("nothing")
    with pytest.raises(DataError, match=r"known are ntu .*skelray prepare table FILE\.toml`: docs/your_data\.md"):
        detect(tmp_path)
    assert (Path(__file__).parent.parent.parent / "docs" / "your_data.md").exists()


def test_a_table_without_its_description_gets_the_beginning_of_one_that_works(monkeypatch, capsys, tmp_path):
    path = table(tmp_path / "mine.csv")
    for words in ((path,), ("table", path)):
        status, _, err = command(monkeypatch, capsys, *words)
        assert status == 2
        assert "mine.csv is no source by itself: a table is described by a TOML file" in err
        assert "docs/your_data.md" in err
        assert 'joints = ["hip", "neck", "shoulder_left", "shoulder_right"]' in err
    with pytest.raises(Undescribed) as error:
        detect(path)
    (tmp_path / "mine.toml").write_text(error.value.starter)
    assert prepare(*open_table(tmp_path / "mine.toml"), tmp_path / "out").sequences == 4


@pytest.mark.parametrize("separator", [";", "|", "\t"])
def test_the_beginning_is_read_as_the_table_will_be(tmp_path, separator):
    path = table(tmp_path / "mine.csv")
    head, _, rest = path.read_text().replace(",", separator).partition("\n")
    path.write_bytes(f"sep={separator}\n{head.upper()}\n{rest}".encode("utf-16"))
    with pytest.raises(Undescribed) as error:
        detect(path)
    assert "lacks" not in str(error.value)
    (tmp_path / "mine.toml").write_text(error.value.starter)
    assert prepare(*open_table(tmp_path / "mine.toml"), tmp_path / "out").sequences == 4


def test_a_parquet_table_gets_one_too(tmp_path):
    frame = pa.table({"sequence": ["a"] * 3, "frame": [0] * 3, "joint": ["0", "1", "2"], "x": [0.0] * 3, "part": [0] * 3})
    pa.parquet.write_table(frame, tmp_path / "a.parquet")
    with pytest.raises(Undescribed, match="it lacks the columns y, label") as error:
        detect(tmp_path / "a.parquet")
    assert 'joints = ["joint_0", "joint_1", "joint_2"]' in error.value.starter
    assert 'by = "part"\ntrain = [0]' in error.value.starter


def test_a_folder_with_a_table_and_its_description_tells_which_file_to_give(tmp_path):
    table(tmp_path / "mine.csv")
    with pytest.raises(DataError, match=r"mine\.csv: a table of your own is described by a TOML file\)"):
        detect(tmp_path)
    (tmp_path / "mine.TOML").write_text("")
    with pytest.raises(DataError) as error:
        detect(tmp_path)
    assert f"is prepared by its TOML file, skelray prepare {tmp_path / 'mine.TOML'})" in str(error.value)


ODD_TABLES = {
    "a.csv": "\ufeffsequence;frame;joint;x;y;label\na;0;hip;1,5;2,5;w\n".encode("utf-16"),
    "a.tsv": b"sequence\tframe\tjoint\tx\ty\tlabel\n",
    "b.csv": b"",
    "c.csv": b"\xff\xfe\xff\x00",
    "a.parquet": b"no parquet",
    "a.xlsx": b"PK\x03\x04 no workbook",
    "a.json": b"[1, 2]",
}


@pytest.mark.parametrize("name", ODD_TABLES)
def test_any_table_tells_the_way(tmp_path, name):
    (tmp_path / name).write_bytes(ODD_TABLES[name])
    with pytest.raises(Undescribed, match=r"is described by a TOML file") as error:
        detect(tmp_path / name)
    assert ("save it as CSV" in str(error.value)) == (name in ("a.xlsx", "a.json"))
    assert len(str(error.value).splitlines()) == 1
    (tmp_path / "folder").mkdir()
    shutil.copy(tmp_path / name, tmp_path / "folder")
    with pytest.raises(DataError, match=r"docs/your_data\.md"):
        detect(tmp_path / "folder")


def archives(folder: Path) -> dict[str, Path]:
    inside = ntu(folder / "inside")
    made = {}
    for name, mode in (("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tgz", "w:gz"), ("noending", "w:xz"), ("untold", "w")):
        made[name] = folder / name
        with tarfile.open(made[name], mode) as archive:
            archive.add(inside / f"{FIRST}.skeleton")
    made["f.skeleton.gz"] = folder / f"{FIRST}.skeleton.gz"
    with gzip.open(made["f.skeleton.gz"], "wb") as file:
        file.write(TEXT)
    for name, start in (("a.7z", b"7z\xbc\xaf'\x1c"), ("a.rar", b"Rar!\x1a\x07\x00"), ("b", b"Rar!\x1a\x07\x00")):
        made[name] = folder / name
        made[name].write_bytes(start + bytes(50))
    with zipfile.ZipFile(folder / "inner.zip", "w") as archive:
        archive.write(inside / f"{FIRST}.skeleton", f"{FIRST}.skeleton")
    made["outer.zip"] = folder / "outer.zip"
    with zipfile.ZipFile(made["outer.zip"], "w") as archive:
        archive.write(folder / "inner.zip", "inner.zip")
    return made


def test_archives_are_to_be_unpacked_first(tmp_path):
    for path in archives(tmp_path).values():
        with pytest.raises(DataError, match=r"unpack it first, and give the folder\)$"):
            detect(path)
        folder = tmp_path / f"{path.name}_in"
        folder.mkdir()
        shutil.copy(path, folder)
        if "." in path.name:
            with pytest.raises(DataError, match="unpack it first"):
                detect(folder)
            (note,) = detect(ntu(folder)).notes
            assert note.startswith("1 not looked into, packed")


NAMES = {
    f"{FIRST}.SKELETON": NTU60,
    f"{FIRST.lower()}.skeleton": NTU60,
    f"{FIRST} (1).skeleton": NTU60,
    f"{FIRST}(2).skeleton": NTU60,
    f"{FIRST} - Copy.skeleton": NTU60,
    f"{FIRST}.skeleton.txt": NTU60,
    "a01_s01_e01_skeleton3D.TXT": MSR_ACTION3D,
    "a01_s01_e01_skeleton3D (1).txt": MSR_ACTION3D,
    "a01_s01_e00_v01.JSON": NWUCLA,
    "A01_S01_E00_V01 (3).json": NWUCLA,
}


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_nearly_right_are_read(tmp_path, name):
    benchmark = NAMES[name]
    made = {**BESIDE, "ntu60": lambda folder: ntu(folder, f"{FIRST}.skeleton")}[benchmark.name](tmp_path / "raw")
    first = min(made.iterdir())
    (tmp_path / "odd").mkdir()
    shutil.copy(first, tmp_path / "odd" / name)
    assert detect(tmp_path / "odd") is benchmark
    (one,) = benchmark.recordings(tmp_path / "odd")
    assert one.name == first.name.partition("_skeleton3D")[0].partition(".")[0]
    np.testing.assert_array_equal(one.bodies, benchmark.recordings(made)[0].bodies)
    shutil.copy(first, tmp_path / "odd")  # the copy comes after the file that it is one of
    kept, twice = benchmark.recordings(tmp_path / "odd")
    assert kept.source == first.name or name.lower() == first.name.lower()
    assert twice.reason == "the source holds it twice"


@pytest.mark.parametrize(
    "name", [f"{FIRST}.txt", "S1C1P1R1A1.skeleton", f"{FIRST}.skeleton.bak", FIRST, f"my_{FIRST}.skeleton"]
)
def test_names_that_may_be_wrong_are_named_with_what_was_expected(tmp_path, name):
    ntu(tmp_path, name)
    said = f"{name} (expected: S001C001P001R001A001.skeleton)"
    with pytest.raises(DataError) as error:
        detect(tmp_path)
    assert f"not read for their names: {said}" in str(error.value)
    assert detect(ntu(tmp_path, f"{SECOND}.skeleton")).notes == (f"1 not read for their names: {said}",)


WAYS = {
    "a byte-order mark": lambda text: b"\xef\xbb\xbf" + text,
    "UTF-16": lambda text: text.decode().encode("utf-16"),
    "UTF-16, big end first": lambda text: b"\xfe\xff" + text.decode().encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.decode().encode("utf-16-le"),
    "decimal commas": lambda text: text.replace(b".", b","),
    "semicolons": lambda text: text.replace(b" ", b";"),
    "semicolons and decimal commas": lambda text: text.replace(b" ", b";").replace(b".", b","),
    "commas between": lambda text: text.replace(b" ", b","),
    "commas and blanks between": lambda text: text.replace(b" ", b", "),
    "carriage returns": lambda text: text.replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_numbers_in_other_ways_are_read_as_they_are_in_the_usual_one(way):
    np.testing.assert_array_equal(read_skeleton(way(TEXT)), read_skeleton(TEXT))
    text = rows(walk(5)[:, 0].reshape(-1, 60)).encode()
    np.testing.assert_array_equal(parse_matrix(way(text), 60), parse_matrix(text, 60))


AMBIGUOUS = {
    "both marks": lambda text: text.replace(b".", b",", 1),
    "decimal commas, commas between": lambda text: text.replace(b".", b",").replace(b" ", b","),
    "decimal commas, commas and blanks between": lambda text: text.replace(b".", b",").replace(b" ", b", "),
}


@pytest.mark.parametrize("way", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_commas_that_may_be_either_are_named(tmp_path, way):
    text = rows(walk(4)[:, 0].reshape(-1, 60)).encode()
    with pytest.raises(ValueError, match="commas that may be decimal points"):
        parse_matrix(way(text), 60)
    (ntu(tmp_path / "raw") / f"{FIRST}.skeleton").write_bytes(way(TEXT))
    reasons = prepare(NTU60, tmp_path / "raw", tmp_path).skipped
    assert [(reason[:39], names) for reason, names in reasons.items()] == [
        ("commas that may be decimal points or st", (FIRST,))
    ]
