"""Classes that files name themselves, and the labels of UTKinect."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from raw_archives import kinetics_clip, rows
from raw_files import ntu_clips, ntu_names, walk, write_npz, write_pyskl_2d

from skelray.data import KINETICS, NTU60, DataError, open_dataset, prepare
from skelray.data.detect import detect

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
