"""What lies beside and around the recordings: nothing is left out without a word, and the way out is told."""

import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from command_line import call
from raw_archives import rows, write_florence, write_florence_mat, write_kinetics, write_utkinect
from raw_files import ntu_clips, ntu_names, skeleton_text, walk, write_npz, write_nwucla, write_pyskl

import skelray
from skelray.data import FLORENCE3D, KINETICS, MSR_ACTION3D, NTU60, NWUCLA, DataError, prepare
from skelray.data.detect import detect
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
