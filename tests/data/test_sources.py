"""What lies beside and around the recordings: nothing is left out without a word, and the way out is told."""

import gzip
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from command_line import call
from raw_archives import kinetics_clip, rows, write_florence, write_florence_mat, write_kinetics, write_utkinect
from raw_files import ntu_clips, ntu_names, skeleton_text, walk, write_npz, write_nwucla, write_pyskl, write_pyskl_2d

import skelray
from skelray.data import FLORENCE3D, KINETICS, MSR_ACTION3D, NTU60, NWUCLA, DataError, open_dataset, open_table, prepare
from skelray.data.detect import detect
from skelray.data.formats.ntu import read_skeleton
from skelray.data.formats.text import parse_matrix
from skelray.data.own.starter import Undescribed

FIRST, SECOND = "S001C001P001R001A001", "S001C001P003R001A002"
TEXT = skeleton_text(walk(6, 25).round(3))


def ntu(folder: Path, *files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files or (f"{FIRST}.skeleton", f"{SECOND}.skeleton"):
        (folder / file).write_bytes(TEXT)
    return folder


def command(monkeypatch, capsys, *words):
    """(exit status, standard output, standard error in one line) of ``skelray prepare``."""
    status, out, err = call(monkeypatch, capsys, "prepare", *words, "--workers", "1")
    return status, out, " ".join(err.split())


# What cannot be read ------------------------------------------------------------------------------------------------


def closed(monkeypatch, folder: Path, error: OSError) -> None:
    """Reading a folder fails: permission bits do not bind a superuser."""
    real = os.scandir

    def scandir(path="."):
        if Path(path) == folder:
            raise error
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), FileNotFoundError(2, "No such file"), OSError(5, "I/O")]
)
def test_a_folder_that_cannot_be_read_refuses_the_source(monkeypatch, tmp_path, error):
    ntu(tmp_path / "raw")
    ntu(tmp_path / "raw" / "sub" / "more", "S001C001P005R001A003.skeleton")
    closed(monkeypatch, tmp_path / "raw" / "sub", error)
    for read in (lambda: detect(tmp_path / "raw"), lambda: prepare(NTU60, tmp_path / "raw", tmp_path / "out")):
        with pytest.raises(DataError, match=rf"holds 1 folders or links that cannot be read.*sub \({error.strerror}\)"):
            read()
    assert not (tmp_path / "out" / "ntu60").exists()


def test_a_folder_that_cannot_be_read_refuses_arrays_too(monkeypatch, tmp_path):
    write_npz(tmp_path / "NTU60_CS.npz", ntu_clips(12), ntu_names(12), 60)
    (tmp_path / "sub").mkdir()
    benchmark = detect(tmp_path)
    closed(monkeypatch, tmp_path / "sub", PermissionError(13, "Permission denied"))
    for read in (lambda: detect(tmp_path), lambda: prepare(benchmark, tmp_path, tmp_path.parent / f"{tmp_path.name}_out")):
        with pytest.raises(DataError, match=r"sub \(Permission denied\)"):
            read()


@pytest.mark.skipif(os.geteuid() == 0, reason="permission bits do not bind a superuser")
def test_a_closed_folder_refuses_the_source(tmp_path):
    ntu(tmp_path / "raw")
    ntu(tmp_path / "raw" / "sub").chmod(0)
    try:
        with pytest.raises(DataError, match="Permission denied"):
            detect(tmp_path / "raw")
    finally:
        (tmp_path / "raw" / "sub").chmod(0o700)


LINKS = {
    "broken": {"part": "nowhere"},
    "of a folder with a point in its name": {"part.v2": "/nowhere/part.v2"},
    "a loop": {"one": "two", "two": "one"},
    "to itself": {"one": "one"},
}


@pytest.mark.parametrize("links", LINKS.values(), ids=LINKS)
def test_links_that_lead_nowhere_refuse_the_source(monkeypatch, capsys, tmp_path, links):
    folder = ntu(tmp_path / "raw")
    for name, target in links.items():
        (folder / name).symlink_to(target)
    status, _, err = command(monkeypatch, capsys, folder, "--data", tmp_path / "out")
    assert status == 2
    assert f"{len(links)} folders or links that cannot be read" in err
    assert all(f"{folder / name} (a link that leads nowhere)" in err for name in links)


def test_links_around_a_folder_are_no_loss(tmp_path):
    folder = ntu(tmp_path / "raw")
    (folder / "around").symlink_to(folder)
    assert detect(folder) is NTU60
    assert prepare(NTU60, folder, tmp_path / "out").sequences == 2


UNREAD = {
    "a broken link": lambda path: path.symlink_to("/nowhere"),
    "a loop of links": lambda path: path.symlink_to(path),
    "a pipe": os.mkfifo,
    "a folder": os.mkdir,
}


@pytest.mark.parametrize("kind", ["a broken link", "a loop of links", "a pipe"])
def test_a_file_that_cannot_be_opened_is_named_counted_and_told_by_the_exit_status(monkeypatch, capsys, tmp_path, kind):
    folder = ntu(tmp_path / "raw")
    UNREAD[kind](folder / "S001C001P002R001A001.skeleton")
    for already in (False, True):
        status, out, err = command(monkeypatch, capsys, folder, "--data", tmp_path / "out")
        assert status == 1
        assert ("already" in out) == already
        assert "1 skipped, its bytes cannot be read: S001C001P002R001A001" in out
        assert "skelray: 1 recordings of" in err
        assert "could not be read and are left out" in err


def test_a_file_that_may_not_be_opened_is_told_by_the_exit_status(monkeypatch, capsys, tmp_path):
    folder = ntu(tmp_path / "raw")
    real = open

    def refuse(path, *rest, **named):
        if str(path).endswith(f"{SECOND}.skeleton"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *rest, **named)

    monkeypatch.setattr("builtins.open", refuse)
    status, out, _ = command(monkeypatch, capsys, folder, "--data", tmp_path / "out")
    assert (status, f"its bytes cannot be read: {SECOND}" in out) == (1, True)


def test_a_corrupt_member_of_a_zip_is_told_by_the_exit_status(monkeypatch, capsys, tmp_path):
    folder, source = write_nwucla(tmp_path / "raw", 3), tmp_path / "a.zip"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    text = bytearray(source.read_bytes())
    text[200:220] = b"\x00" * 20
    source.write_bytes(text)
    status, out, _ = command(monkeypatch, capsys, source, "--data", tmp_path / "out")
    assert (status, "1 skipped, its bytes cannot be read: a01_s01_e00_v01" in out) == (1, True)
    assert command(monkeypatch, capsys, folder, "--data", tmp_path / "whole")[0] == 0


def test_an_array_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "NTU60_CS.npz").symlink_to("/nowhere")
    with pytest.raises(DataError, match=r"NTU60_CS\.npz \(.*no file\) cannot be read"):
        detect(tmp_path)


def test_a_file_of_any_kind_that_cannot_be_opened_refuses_the_source(tmp_path):
    """It may hold recordings; clips of Kinetics, which are counted when they are read, do not."""
    folder = ntu(tmp_path / "raw")
    (folder / "clips.json").symlink_to("/nowhere")
    with pytest.raises(DataError, match=r"holds 1 files beside the recordings that cannot .*clips\.json .* --format ntu"):
        detect(folder)
    assert detect(folder, name="ntu") is NTU60
    clips = write_kinetics(tmp_path / "clips", 2)
    (clips / "kinetics_train" / "-a.json").symlink_to("/nowhere")
    assert detect(clips) is KINETICS
    assert prepare(KINETICS, clips, tmp_path).unread == ("-a",)


def test_a_pipe_named_as_a_zip_is_not_waited_for(tmp_path):
    os.mkfifo(ntu(tmp_path / "raw") / "more.zip")
    with pytest.raises(DataError, match=r"more\.zip is not a readable zip .*: fetch it again, or move it elsewhere"):
        detect(tmp_path / "raw")


# Files beside the recordings ----------------------------------------------------------------------------------------


def side_files(folder: Path) -> list[str]:
    """Files whose endings are those of formats, and that are of none."""
    from scipy.io import savemat

    before = set(folder.iterdir())
    (folder / "cache.pkl").write_bytes(b"\x80\x02}q\x00X\x05\x00\x00\x00stampq\x01K\x03s.")
    (folder / "splits.pkl").write_bytes(pickle.dumps({"split": {"train": ["a"]}, "annotations": [1, 2]}))
    (folder / "keypoints.pkl").write_bytes(pickle.dumps({"keypoint": np.zeros((2, 3))}))
    (folder / "info.json").write_text('{"data": [1, 2, 3]}')
    (folder / "map.json").write_text('{"label_index": {"wave": 0}, "data": "raw", "frame_index": "from 0"}')
    (folder / "._hidden.json").write_bytes(b"\x00\x05\x16\x07")
    savemat(folder / "calib.mat", {"K": np.eye(3)})
    savemat(folder / "packed.mat", {"K": np.eye(3)}, do_compression=True)
    (folder / "old.mat").write_bytes(b"\0" * 200)
    np.savez(folder / "mean.npz", mean=np.zeros(3))
    np.save(folder / "train_data.npy", np.zeros((3, 3)))
    return sorted(path.name for path in set(folder.iterdir()) - before if not path.name.startswith("."))


def msr(folder: Path) -> Path:
    folder.mkdir()
    (folder / "a01_s01_e01_skeleton3D.txt").write_text(rows(walk(6)[:, 0].reshape(-1, 3).repeat(2, 1)[:, :4]))
    return folder


BESIDE = {
    "ntu60": ntu,
    "utkinect": lambda folder: write_utkinect(folder, 1),
    "msr_action3d": msr,
    "nwucla": lambda folder: write_nwucla(folder, 1),
    "florence3d": lambda folder: write_florence_mat(folder, 3),
}


@pytest.mark.parametrize("name", BESIDE)
def test_side_files_are_named_and_do_not_make_several_formats(monkeypatch, capsys, tmp_path, name):
    folder = BESIDE[name](tmp_path / "raw")
    assert detect(folder).notes == ()
    files = side_files(folder)
    (note,) = detect(folder).notes
    assert note.startswith(f"{len(files)} beside the recordings not read")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    if name != "florence3d":  # whose .mat files a zip has too
        assert detect(tmp_path / "a.zip").name == name
    status, out, _ = command(monkeypatch, capsys, folder, "--data", tmp_path / "out")
    assert status == 0
    assert f"note: {len(files)} beside the recordings not read, of another kind: " in out


def test_each_side_file_is_named(tmp_path):
    (tmp_path / "side").mkdir()
    for file in side_files(tmp_path / "side"):
        folder = ntu(tmp_path / f"{file}_in")
        shutil.copy(tmp_path / "side" / file, folder)
        assert detect(folder).notes == (f"1 beside the recordings not read, of another kind: {file}",)


def test_many_mat_files_of_another_kind_start_no_process(monkeypatch, tmp_path):
    from scipy.io import savemat

    for number in range(30):
        savemat(tmp_path / f"{number}.mat", {"skeleton": np.zeros((3, 20)), "label": number})
    started = []
    monkeypatch.setattr(subprocess, "run", lambda *words, **named: started.append(words))
    with pytest.raises(DataError, match=r"not of the form that their names are for: 0\.mat, 1\.mat, 10\.mat and 27 more"):
        detect(tmp_path)
    assert not started
    ntu(tmp_path)
    assert detect(tmp_path).name == "ntu60"
    assert not started
    monkeypatch.undo()
    with pytest.raises(DataError, match=r"0\.mat holds no cell of structs with"):
        FLORENCE3D.recordings(tmp_path)


@pytest.mark.parametrize("packed", [False, True])
def test_clips_in_a_mat_are_seen_behind_other_variables(tmp_path, packed):
    from scipy.io import loadmat, savemat

    path = write_florence_mat(tmp_path, 3) / "florence3d.mat"
    cell = loadmat(path)["skeletal_data"]
    savemat(path, {"about": np.zeros(5000), "skeletal_data": cell, "more": np.zeros(3)}, do_compression=packed)
    assert detect(tmp_path) is FLORENCE3D
    (tmp_path / "notes.mat").write_bytes(path.read_bytes()[:160])
    assert len(FLORENCE3D.recordings(tmp_path)) == 3


def test_a_mat_is_read_where_skelray_is_importable_by_its_path_alone(tmp_path):
    """The process that reads it is given no search path and needs none."""
    write_florence_mat(tmp_path, 3)
    package = Path(skelray.__file__).parent.parent
    script = (
        f"import sys; sys.path.insert(0, {str(package)!r}); from pathlib import Path; "
        f"from skelray.data import FLORENCE3D; print(len(FLORENCE3D.recordings(Path({str(tmp_path)!r}))))"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert done.stdout.strip() == "3", done.stderr
    reader = Path(skelray.__file__).parent / "data" / "formats" / "mat.py"
    assert "skelray" not in {
        line.split()[1].split(".")[0] for line in reader.read_text().splitlines() if line.startswith(("import ", "from "))
    }


def test_the_many_win_and_what_is_beside_them_is_named(tmp_path):
    folder = write_nwucla(tmp_path, 20)
    ntu(folder, f"{FIRST}.skeleton")
    assert detect(folder).name == "nwucla"
    assert f"1 beside the recordings not read, of another kind: {FIRST}.skeleton" in detect(folder).notes
    ntu(folder, f"{FIRST}.skeleton", f"{SECOND}.skeleton", "S001C001P002R001A001.skeleton")
    with pytest.raises(DataError, match=r"several formats, ntu \(3 files\), nwucla \(20 files\)"):
        detect(folder)


def test_a_benchmark_that_is_named_and_not_there_tells_what_is(tmp_path):
    (tmp_path / "S001C001P001R001A001.skeleton.bak").write_bytes(TEXT)
    (tmp_path / "a.tar").write_bytes(b"")
    with pytest.raises(DataError, match=r"holds no NTU RGB\+D .*a\.tar: unpack it first.*\.bak \(expected"):
        detect(tmp_path, NTU60)
    with pytest.raises(Undescribed):
        detect(table(tmp_path / "a.csv"), NTU60)


def test_labels_beyond_the_classes_are_said_to_be(tmp_path):
    folder = write_nwucla(tmp_path / "a", 1)
    path = folder / "a01_s01_e00_v01.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "label": 12}))
    assert NWUCLA.recordings(folder)[0].reason == "its label is none of 1 to 10"
    (msr(tmp_path / "b") / "a01_s01_e01_skeleton3D.txt").rename(tmp_path / "b" / "a21_s01_e01_skeleton3D.txt")
    assert MSR_ACTION3D.recordings(tmp_path / "b")[0].reason == "its action is none of 1 to 20"


def test_a_real_array_beside_raw_files_is_for_the_user_to_choose(tmp_path):
    ntu(tmp_path, *(f"S001C001P001R001A{action:03}.skeleton" for action in range(1, 40)))
    write_pyskl(tmp_path / "ntu60_3danno.pkl", ntu_clips(4), ntu_names(4))
    with pytest.raises(DataError, match="several formats"):
        detect(tmp_path)


# The way out --------------------------------------------------------------------------------------------------------


def test_a_refused_source_tells_of_tables(tmp_path):
    (tmp_path / "notes.md").write_text("nothing")
    with pytest.raises(DataError, match=r"known are ntu .*skelray prepare table FILE\.toml`: docs/your_data\.md"):
        detect(tmp_path)
    assert (Path(__file__).parent.parent.parent / "docs" / "your_data.md").exists()


COLUMNS = "sequence,frame,joint,x,y,z,label,subject"


def table(path: Path) -> Path:
    lines = [
        f"{subject}_{frame // 4},{frame},{joint},{frame}.5,{subject},{number},{'ab'[frame // 4]},{subject}"
        for subject in (1, 2)
        for frame in range(8)
        for number, joint in enumerate(("hip", "neck", "shoulder_left", "shoulder_right"))
    ]
    path.write_text("\n".join([COLUMNS, *lines]) + "\n")
    return path


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


# The classes that clips name themselves -----------------------------------------------------------------------------


def own_clips(folder: Path, *labels: tuple[object, object], files: bool = True, part: str = "train") -> Path:
    """Clips in Kinetics' form with such (label_index, label); ``files``: with a label file."""
    inside = folder / f"kinetics_{part}"
    inside.mkdir(parents=True, exist_ok=True)
    known = {}
    for number, (index, text) in enumerate(labels):
        clip = kinetics_clip(0, 4, seed=number)
        said = {"label": text, "label_index": index}
        said = {key: value for key, value in said.items() if value is not None}
        (inside / f"clip{number}.json").write_text(json.dumps({"data": clip["data"], **said}))
        known[f"clip{number}"] = {"has_skeleton": True, **said}
    if files:
        (folder / f"kinetics_{part}_label.json").write_text(json.dumps(known))
    return folder


@pytest.mark.parametrize("files", [True, False])
@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([(0, "wave"), (1, "bow"), (0, "wave")], ("wave", "bow")),
        ([(1, "wave"), (3, "bow")], ("class 0", "wave", "class 2", "bow")),
        ([(450, "wave")], (*(f"class {number}" for number in range(450)), "wave")),
        ([(0, "abseiling"), (1, "bow")], ("abseiling", "bow")),
        ([(0, "zumba"), (1, "abseiling")], ("zumba", "abseiling")),
        ([(None, "wave"), (None, "bow")], ("bow", "wave")),
    ],
)
def test_clips_that_name_other_classes_keep_them(tmp_path, labels, classes, files):
    folder = own_clips(tmp_path / "gestures", *labels, files=files)
    found = detect(folder)
    assert (found.name, found.classes) == ("gestures", classes)
    assert "they are not those of Kinetics" in found.notes[0]
    assert "class 0" not in found.notes[0]  # which no file says
    report = prepare(found, folder, tmp_path / "out")
    assert report.sequences == len(labels)
    assert "note: the classes are those that the files name" in str(report)
    kept = open_dataset(tmp_path / "out", "gestures")
    assert [kept.classes[label] for label in kept.samples["label"]] == [text for _, text in labels]
    for refused in (lambda: KINETICS.recordings(folder), lambda: prepare(detect(folder, KINETICS), folder, tmp_path)):
        with pytest.raises(DataError, match=r"name classes of their own .* which are not those of Kinetics"):
            refused()


@pytest.mark.parametrize("files", [True, False])
def test_clips_that_are_called_as_in_kinetics_are_kinetics(tmp_path, files):
    folder = own_clips(tmp_path / "a", (0, "Abseiling"), (1, "air_drumming"), (399, "zumba"), files=files)
    assert detect(folder) is KINETICS
    assert detect(own_clips(tmp_path / "b", (None, "zumba"), files=files)).recordings(tmp_path / "b")[0].label == 399


def test_clips_without_names_are_called_as_in_kinetics_and_it_is_said(tmp_path):
    folder = own_clips(tmp_path / "a", (0, None), (1, ""), (400, None))
    assert detect(folder).classes == KINETICS.classes
    assert detect(folder).notes == (
        "the clips do not name their classes: by their numbers, they are called as those of Kinetics",
    )
    assert [getattr(one, "reason", None) for one in KINETICS.recordings(folder)] == [
        None,
        None,
        "its label is none of 0 to 399",
    ]


def test_a_few_labels_that_contradict_are_left_out_and_counted(tmp_path):
    labels = [(number, KINETICS.classes[number]) for number in range(20)]
    folder = own_clips(tmp_path / "a", *labels, (3, "wave"))
    assert detect(folder) is KINETICS
    report = prepare(KINETICS, folder, tmp_path)
    assert (report.sequences, report.skipped) == (20, {"its label is not called as its class is": ("clip20",)})


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([(0, "wave"), (0, "bow")], r"the class 0 is called 'wave' in .*clip0.* and 'bow' in .*clip1"),
        ([(0, "wave"), (1, "Wave")], r"the classes 0 and 1 are both called 'Wave'"),
    ],
)
def test_names_that_are_no_classes_are_one_sentence(tmp_path, labels, sentence):
    with pytest.raises(DataError, match=sentence):
        detect(own_clips(tmp_path, *labels))


def test_names_count_where_the_label_file_has_numbers_alone(tmp_path):
    folder = own_clips(tmp_path / "a", (0, "wave"), (1, "bow"))
    known = {f"clip{number}": {"has_skeleton": True, "label_index": number} for number in (0, 1)}
    (folder / "kinetics_train_label.json").write_text(json.dumps(known))
    assert detect(folder).classes == ("wave", "bow")


def test_all_clips_of_ones_own_are_looked_into_where_no_label_file_names_them(tmp_path):
    labels = [(number % 3, "abc"[number % 3]) for number in range(200)]
    assert detect(own_clips(tmp_path / "a", *labels, (3, "rare"), files=False)).classes == ("a", "b", "c", "rare")


def test_clips_whose_scores_are_all_0_are_said_to_be(tmp_path):
    folder = own_clips(tmp_path / "raw", (0, "wave"), (1, "bow"))
    path = folder / "kinetics_train" / "clip1.json"
    clip = json.loads(path.read_text())
    for frame in clip["data"]:
        for person in frame["skeleton"]:
            person["score"] = [0] * 18
    path.write_text(json.dumps(clip))
    assert prepare(detect(folder), folder, tmp_path / "a").skipped == {"the scores of all its points are 0": ("clip1",)}
    (folder / "kinetics_train" / "clip0.json").write_text(json.dumps({**clip, "label": "wave", "label_index": 0}))
    with pytest.raises(DataError, match=r"no usable sequence of raw \(the scores of all its points are 0\)"):
        prepare(detect(folder), folder, tmp_path / "b")


def test_points_of_an_image_whose_scores_are_all_0_are_said_to_be(tmp_path):
    path = write_pyskl_2d(tmp_path / "a.pkl")
    stored = pickle.loads(path.read_bytes())
    stored["annotations"][2]["keypoint_score"][:] = 0
    path.write_bytes(pickle.dumps(stored))
    report = prepare(detect(path), path, tmp_path / "out")
    assert report.skipped == {"the scores of all its points are 0": ("v_002",)}


def test_a_pickle_that_lists_its_classes_has_them(tmp_path):
    path = write_pyskl_2d(tmp_path / "a.pkl")
    stored = {**pickle.loads(path.read_bytes()), "classes": ["run", "jump", "sit", "stand"]}
    path.write_bytes(pickle.dumps(stored))
    assert detect(path).classes == ("run", "jump", "sit", "stand")


def test_arrays_of_sixty_classes_of_their_own_are_not_ntu(tmp_path):
    names = [f"gesture {number}" for number in range(60)]
    path = write_npz(tmp_path / "mine.npz", ntu_clips(12), ntu_names(12), 60)
    assert detect(path).name == "ntu60"
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **arrays, class_names=np.array(NTU60.classes))
    assert (detect(path).name, detect(path).classes) == ("ntu60", NTU60.classes)
    np.savez(path, **arrays, class_names=np.array(names))
    assert (detect(path).name, detect(path).classes) == ("mine", tuple(names))
    with pytest.raises(DataError, match=r"name classes of their own \(gesture 0, .*\), not those of ntu60"):
        detect(path, NTU60)
    path.rename(tmp_path / "NTU60.npz")
    assert detect(tmp_path / "NTU60.npz").name == "ntu60_own"


# UTKinect's label file ----------------------------------------------------------------------------------------------


def test_utkinect_rows_known_to_be_wrong_are_put_right(tmp_path):
    from skelray.data import UTKINECT

    numbers = np.arange(2500, 3700, 2.0)
    table = np.column_stack([numbers, walk(len(numbers)).reshape(-1, 60)])
    (tmp_path / "joints_s03_e01.txt").write_text(rows(table))
    labels = tmp_path / "actionLabel.txt"
    labels.write_text("s03_e01\nthrow: 3226 3282\npush: 2556 3622\npull: 3660 3690\n")
    found = UTKINECT.recordings(tmp_path)
    assert [(one.name, len(one.bodies)) for one in found] == [
        ("s03_e01_throw", 29),
        ("s03_e01_push", 34),  # 3556 to 3622, not 534
        ("s03_e01_pull", 16),
    ]
    report = prepare(UTKINECT, tmp_path, tmp_path / "out")
    assert report.notes == ("wrong frames in actionLabel.txt, put right as they are known: s03_e01_push",)
    labels.rename(tmp_path / "other.txt")
    (tmp_path / "actionLabel_modified.txt").write_text("s03_e01\nthrow: 3226 3282\npush: 3556 3622\npull: 3660 3690\n")
    for one, right in zip(found, UTKINECT.recordings(tmp_path), strict=True):
        np.testing.assert_array_equal(one.bodies, right.bodies)
    assert UTKINECT.recordings(tmp_path).notes == ()


# The cases at hand --------------------------------------------------------------------------------------------------


def test_real_archives_are_what_they_were(shared):
    assert detect(shared("data/NW-UCLA.zip")) is NWUCLA
    assert detect(shared("data/MSRAction3DSkeletonReal3D.zip")) is MSR_ACTION3D


def test_the_cases(shared, tmp_path):
    names = prepare(detect(shared("cases/ntu_names")), shared("cases/ntu_names"), tmp_path / "a")
    assert (names.name, names.sequences) == ("ntu60", 2)
    side = prepare(detect(shared("cases/side_files")), shared("cases/side_files"), tmp_path / "b")
    assert (side.name, side.sequences) == ("ntu60", 2)
    assert all(name in side.notes[0] for name in ("info.json", "cache.pkl"))
    own = detect(shared("cases/own_kinetics"))
    assert own.classes == ("wave", "bow")
    assert prepare(own, shared("cases/own_kinetics"), tmp_path / "c").sequences == 12


def test_texts_of_florence_may_have_decimal_commas(tmp_path):
    path = write_florence(tmp_path, 4) / "Florence_dataset_WorldCoordinates.txt"
    before = FLORENCE3D.recordings(tmp_path)
    path.write_bytes(path.read_bytes().replace(b".", b","))
    for one, other in zip(before, FLORENCE3D.recordings(tmp_path), strict=True):
        np.testing.assert_array_equal(one.bodies, other.bodies)


def test_labels_and_lists_may_be_utf_16(tmp_path):
    folder = write_utkinect(tmp_path, 1)
    from skelray.data import UTKINECT

    before = list(UTKINECT.recordings(folder))
    label_file = folder / "actionLabel_modified.txt"
    label_file.write_bytes(label_file.read_text().encode("utf-16"))
    assert [one.name for one in UTKINECT.recordings(folder)] == [one.name for one in before]
    kinetics = write_kinetics(tmp_path / "k", 2)
    for path in kinetics.rglob("*.json"):
        path.write_bytes(path.read_text().encode("utf-16"))
    assert detect(kinetics).name == "kinetics"
    assert len(list(KINETICS.recordings(kinetics))) == 4


def test_a_head_that_is_cut_is_no_mat(tmp_path):
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(126) + b"IM" + struct.pack("<II", 15, 1 << 30) + b"\x78\x9c\x00")
    with pytest.raises(DataError, match=r"not of the form that their names are for: a\.mat"):
        detect(path)
