"""What a source holds is told from its files, or in one sentence why it is not; the user may say it."""

import json
import zipfile

import numpy as np
import pytest
from command_line import call
from raw_archives import write_florence, write_florence_mat, write_kinetics
from raw_files import (
    halves,
    ntu_clips,
    ntu_names,
    skeleton_text,
    stacked,
    walk,
    write_npy,
    write_npz,
    write_nwucla,
    write_pyskl,
)

from skelray.data import KINETICS, NTU60, NTU120, NWUCLA, DataError, load_splits, open_dataset, prepare
from skelray.data.benchmarks import BENCHMARKS
from skelray.data.catalogue import FORMATS
from skelray.data.detect import detect

NAMES, CLIPS = ntu_names(12), ntu_clips(12)


def raw(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"{name}.skeleton").write_bytes(skeleton_text(walk(4, 25)))
    return folder


def test_every_benchmark_with_a_source_has_a_format():
    held = {one.name for form in FORMATS for one in form.benchmarks}
    assert held == set(BENCHMARKS) - {"synthetic"}
    assert len({form.name for form in FORMATS}) == len(FORMATS)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_examples_are_of_their_format_and_of_no_other_but_for_a_look(form):
    name = form.example.rsplit("/", 1)[-1]
    fits = {other.name for other in FORMATS if other.pattern.fullmatch(name)}
    assert fits - {"kinetics"} == {form.name} - {"kinetics"}  # which has names of any kind, and is looked into


def test_raw_files_say_which_benchmark_they_are(tmp_path):
    assert detect(raw(tmp_path / "a", "S001C001P001R001A060")) is NTU60
    assert detect(raw(tmp_path / "a", "S018C001P041R001A061")) is NTU120
    assert detect(tmp_path / "a", NTU60) is NTU60
    assert detect(tmp_path / "a" / "S001C001P001R001A060.skeleton") is NTU60
    assert detect(write_nwucla(tmp_path / "b", 3)) is NWUCLA
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.write(next((tmp_path / "b").iterdir()), "all_sqe/a01_s01_e00_v01.json")
    assert detect(tmp_path / "c.zip") is NWUCLA


def test_other_files_of_such_names_do_not_hide_the_right_ones(tmp_path):
    for number in range(20):  # whatever comes first
        np.savez(tmp_path / f"{number}.npz", mean=np.zeros(3))
    with pytest.raises(DataError, match="no files of a known format"):
        detect(tmp_path)
    with pytest.raises(DataError, match="holds no npz of x_train, y_train"):
        detect(tmp_path, name="npz")
    write_npz(tmp_path / "NTU60_CS.npz", CLIPS, NAMES, 60)
    assert detect(tmp_path).name == detect(tmp_path, name="npz").name == "ntu60"
    for number in range(20):
        (tmp_path / f"{number}.json").write_text("{}")
    clips = write_kinetics(tmp_path / "clips")
    assert detect(clips) is KINETICS
    with pytest.raises(DataError, match=r"several formats, kinetics \(12 files\), npz \(1 files\)"):
        detect(tmp_path)


def test_a_single_file_is_a_source(tmp_path):
    """Told by its name and prepared: what is detected is also read."""
    texts = write_florence(tmp_path / "a")
    write_florence_mat(tmp_path / "b")
    raw(tmp_path / "c", "S001C001P001R001A060")
    write_nwucla(tmp_path / "d", 1)
    counts = {}
    for file in sorted(tmp_path.rglob("*.*")):
        benchmark = detect(file)
        counts[file.suffix] = prepare(benchmark, file, tmp_path / file.suffix).sequences
        assert prepare(benchmark, file, tmp_path / file.suffix).already
    assert counts == {".txt": 20, ".mat": 20, ".skeleton": 1, ".json": 1}
    with zipfile.ZipFile(tmp_path / "packed", "w") as archive:  # a zip by its content
        archive.write(texts / "Florence_dataset_WorldCoordinates.txt", "a.txt")
        archive.write(tmp_path / "d" / "a01_s01_e00_v01.json", "a01_s01_e00_v01.json")
    assert detect(tmp_path / "packed") is NWUCLA


def test_several_formats_are_one_sentence_and_the_user_chooses(tmp_path):
    write_npz(tmp_path / "NTU60_CS.npz", CLIPS, NAMES, 60)
    write_pyskl(tmp_path / "ntu60_3danno.pkl", CLIPS, NAMES)
    raw(tmp_path, "S001C001P001R001A001", "S001C001P001R001A002")
    with pytest.raises(
        DataError, match=r"several formats, ntu \(2 files\), npz \(1 files\), pyskl \(1 files\): choose one by"
    ):
        detect(tmp_path)
    assert not detect(tmp_path, name="ntu").missing_information
    assert "names" in detect(tmp_path, name="npz").missing_information[0]
    assert "half" in detect(tmp_path, NTU60, "pyskl").missing_information[0]
    assert "half" in detect(tmp_path / "ntu60_3danno.pkl").missing_information[0]


def test_several_of_a_kind_are_one_sentence(tmp_path):
    for folder in ("xsub", "xview"):
        write_npy(tmp_path / folder, stacked(CLIPS, 20), NAMES, "data")
    with pytest.raises(DataError, match=r"divided in several ways: give one of .*xsub, .*xview"):
        detect(tmp_path)
    (tmp_path / "z").mkdir()
    for file in ("NTU60_CS", "NTU60_CV"):
        write_npz(tmp_path / "z" / f"{file}.npz", CLIPS, NAMES, 60)
    with pytest.raises(DataError, match=r"several such files: give one of .*CS.npz, .*CV.npz; .* take a --name"):
        detect(tmp_path / "z")


def test_what_is_nothing_known_is_one_sentence(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(DataError, match=r"known are ntu \(S001C001P001R001A001.skeleton\), .*npz \(NTU60_CS.npz\)"):
        detect(tmp_path)
    with pytest.raises(DataError, match="holds no NW-UCLA skeletons"):
        detect(tmp_path, NWUCLA)
    with pytest.raises(DataError, match=r"known are position \(train_position.npy\)"):
        detect(tmp_path, name="position")
    with pytest.raises(DataError, match="there is no"):
        detect(tmp_path / "absent")
    (tmp_path / "a.zip").write_text("x")
    with pytest.raises(DataError, match="not a readable zip"):
        detect(tmp_path / "a.zip")


def test_arrays_in_a_zip_are_one_sentence(tmp_path):
    folder = write_npy(tmp_path / "a", stacked(CLIPS, 20), NAMES, "data")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    with pytest.raises(DataError, match="arrays are mapped from disk: unpack it first"):
        detect(tmp_path / "a.zip")


def command(monkeypatch, capsys, *words):
    return call(monkeypatch, capsys, "prepare", *words)


def test_the_command_needs_no_benchmark(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    write_npz(tmp_path / "NTU60_CS.npz", CLIPS, NAMES, 60)
    status, out, _ = command(monkeypatch, capsys, "NTU60_CS.npz", "--half", "--workers", 2)
    assert status == 0
    assert "ntu60 is prepared in data/ntu60" in out
    assert "protocols xsub" in out
    assert "lost: names, and with them subject" in out
    assert open_dataset(tmp_path / "data", "ntu60").sequences.dtype == np.float16
    status, out, _ = command(monkeypatch, capsys, "ntu60", "NTU60_CS.npz", "--name", "mine", "--frames", 20)
    assert open_dataset(tmp_path / "data", "mine").sequences.shape == (12, 3, 20, 25, 2)
    assert len(halves(NAMES)["train"]) == (open_dataset(tmp_path / "data", "mine").samples["part"] == 0).sum()


def test_a_second_source_does_not_replace_the_first(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name, clips in (("NTU60_CS", CLIPS), ("NTU60_CV", CLIPS[::-1])):
        write_npz(tmp_path / f"{name}.npz", clips, NAMES, 60)
    raw(tmp_path / "raw", *NAMES)
    assert command(monkeypatch, capsys, "NTU60_CS.npz")[0] == 0
    first = open_dataset(tmp_path / "data", "ntu60").fingerprint
    for source, form, own in (("NTU60_CV.npz", "npz", "ntu60_xview"), ("raw", "raw recordings", "ANOTHER")):
        status, _, err = command(monkeypatch, capsys, source)
        assert status != 0
        assert f"data/ntu60 was prepared from {tmp_path}/NTU60_CS.npz (npz) and would be replaced by" in " ".join(
            err.split()
        )
        assert f"{tmp_path}/{source} ({form}): --name {own} keeps both, --force replaces it" in " ".join(err.split())
        assert open_dataset(tmp_path / "data", "ntu60").fingerprint == first
    assert command(monkeypatch, capsys, "NTU60_CV.npz", "--name", "ntu60_xview")[0] == 0
    load_splits(tmp_path / "data", "ntu60_xview", "xview")
    load_splits(tmp_path / "data", "ntu60", "xsub")
    assert command(monkeypatch, capsys, "raw", "--force")[0] == 0
    assert open_dataset(tmp_path / "data", "ntu60").fingerprint != first


def test_another_format_of_the_same_folder_is_another_source(tmp_path):
    write_npz(tmp_path / "NTU60_CS.npz", CLIPS, NAMES, 60)
    write_pyskl(tmp_path / "ntu60_3danno.pkl", CLIPS, NAMES)
    prepare(detect(tmp_path, name="npz"), tmp_path, tmp_path.parent / f"{tmp_path.name}_data")
    with pytest.raises(DataError, match=r"\(npz\) and would be replaced by .*\(pyskl\)"):
        prepare(detect(tmp_path, name="pyskl"), tmp_path, tmp_path.parent / f"{tmp_path.name}_data")


def test_a_source_that_was_moved_or_prepared_before_formats_were_kept_is_the_same(tmp_path):
    source, root = raw(tmp_path / "raw", *NAMES), tmp_path / "data"
    prepare(NTU60, source, root)
    about = json.loads((root / "ntu60" / "dataset.json").read_text())
    assert about["source"].pop("format") == "raw recordings"
    del about["checksum"]
    (root / "ntu60" / "dataset.json").write_text(json.dumps(about))
    assert prepare(NTU60, source, root).already
    source.rename(tmp_path / "moved")
    assert prepare(NTU60, tmp_path / "moved", root).already


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nwucla"], "nwucla needs the path of its raw files: skelray prepare nwucla PATH"),
        (["ntu61", "a.npz"], "ntu61 a.npz: give a SOURCE, or a BENCHMARK (florence3d, "),
        (["ntu60", "a", "b"], "give a SOURCE, or a BENCHMARK"),
        (["absent"], "there is no absent"),
        (
            ["synthetic", "--name", "../up"],
            "a data set cannot be named '../up': letters, digits, points, lines and dashes name its folder",
        ),
        ([], "Missing argument"),
    ],
)
def test_a_mistake_in_the_command_is_one_sentence(monkeypatch, capsys, tmp_path, words, sentence):
    monkeypatch.chdir(tmp_path)
    status, out, err = command(monkeypatch, capsys, *words)
    assert (status, out) == (2, "")
    assert sentence in err
