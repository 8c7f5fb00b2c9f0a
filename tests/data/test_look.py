"""`skelray data describe` and `check`: the numbers are those of the data, and each planted fault is found by name."""

from dataclasses import replace

import numpy as np
import pytest
from command_line import call
from raw_files import drawn_benchmark

from skelray.data import Benchmark, DataError, Preprocessing, Recording, Split, open_dataset, prepare
from skelray.data.dataset import SkeletonDataset
from skelray.data.inspection.check import check_dataset
from skelray.data.inspection.describe import _columns, _ranges, describe
from skelray.data.inspection.picture import description_page, draw_picture, picture_as_png, picture_axes, typical_sequences
from skelray.data.inspection.twins import digests, sketch, twins
from skelray.skeleton import KINECT_V1, KINECT_V2, OPENPOSE

# Kinect v1 at rest, arms out, facing the camera: (20, 3) metres, y up.
TRUNK = ((0, 0, 0), (0, 0.1, 0), (0, 0.5, 0), (0, 0.7, 0))
ARM = ((0.2, 0.5, 0), (0.3, 0.3, -0.2), (0.4, 0.4, -0.4), (0.4, 0.4, -0.5))
LEG = ((0.1, 0, 0), (0.12, -0.4, 0), (0.12, -0.8, 0.05), (0.12, -0.85, -0.1))
REST = np.array([*TRUNK, *((side * x, y, z) for limb in (ARM, LEG) for side in (-1, 1) for x, y, z in limb)])


def body(seed: int, frames: int = 30) -> np.ndarray:
    """(frames, 1, 20, 3): people of different build and movement, smooth and whole."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 2 * np.pi, frames)[:, None, None]
    waves = 0.15 * np.sin(time * rng.uniform(0.5, 1.5, (1, 20, 3)) + rng.uniform(0, 6, (1, 20, 3))) * rng.random((1, 20, 3))
    waves[:, :4] = 0  # the trunk, by which preprocessing turns
    moved = rng.normal(1, 0.1) * (REST + waves) + np.array([0, 0, 3])
    return moved[:, None].astype(np.float32)


def clean(count: int = 48) -> Benchmark:
    """4 classes, 6 subjects, 2 cameras."""
    recordings = [
        Recording(f"r{n:02}", body(n, 20 + n % 30), n % 4, subject=n % 6 + 1, camera=n % 2 + 1, source="made")
        for n in range(count)
    ]
    protocols = {"xsub": Split("subject", (1, 2, 3)), "xview": Split("camera", (1,))}
    return Benchmark("clean", KINECT_V1, ("a", "b", "c", "d"), protocols, 2, lambda source: recordings)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    roots = {}
    for path in ("plain", "centred", "rigid"):
        roots[path] = tmp_path_factory.mktemp(path)
        prepare(clean(), None, roots[path], Preprocessing(path, 40))
    return roots


def planted(tmp_path, plant, path="plain", benchmark=None):
    """A prepared set whose array (N, C, T, V, M) ``plant`` has changed."""
    prepare(benchmark or clean(), None, tmp_path, Preprocessing(path, 40))
    plant(np.load(tmp_path / "clean" / "sequences.npy", mmap_mode="r+"))
    return check_dataset(tmp_path, "clean")


def found(report):
    return {finding.kind: [name for name, _ in finding.offenders] for finding in report.findings if finding.offenders}


@pytest.mark.parametrize("path", ["plain", "centred", "rigid"])
def test_a_clean_set_passes(whole, path):
    report = check_dataset(whole[path], "clean")
    assert not report.wrong, str(report)
    assert str(report).startswith("clean, 48 sequences: nothing is wrong")
    assert [finding.kind for finding in report.findings][-2:] == ["xsub: test among training", "xview: test among training"]


def plant_nan(x):
    x[3, 1, 5, 7, 0] = np.nan
    x[4, 0, :3, 7, 0] = np.inf


def plant_zero(x):
    x[5, :, 10:14] = 0
    x[6, :, 20] = 0


def plant_jump(x):
    x[7, 0, 20, 11, 0] += 9
    x[8, 2, 15, :, 0] += 20


def swap(x, at, start, end):
    x[at, :, start:end] = x[at, :, start:end][:, :, list(KINECT_V1.mirrored)]


def plant_swap(x):
    swap(x, 9, 12, 20)
    swap(x, 10, 30, 40)


FAULTS = {
    "NaN or infinite": (plant_nan, ["r04", "r03"]),
    "zero frames": (plant_zero, ["r05", "r06"]),
    "jumps": (plant_jump, ["r08", "r07"]),
    "exchanged sides": (plant_swap, ["r09", "r10"]),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_planted_fault_is_found_by_name_the_worst_first(tmp_path, kind):
    plant, names = FAULTS[kind]
    report = planted(tmp_path, plant)
    assert found(report) == {kind: names}
    assert f"WRONG  {kind}: 2" in str(report)


def test_sides_exchanged_before_preprocessing_are_found_after_it(tmp_path):
    """The centred path turns an exchanged body half round."""
    benchmark = clean()
    changed = benchmark.recordings(None)
    changed[12].bodies[10:20] = changed[12].bodies[10:20][:, :, list(KINECT_V1.mirrored)]
    for path in ("centred", "rigid", "plain"):
        report = planted(
            tmp_path / path, lambda x: None, path, Benchmark(**{**vars(benchmark), "recordings": lambda s: changed})
        )
        assert found(report)["exchanged sides"] == ["r12"], str(report)


def test_duplicates_and_overlap_are_found(tmp_path):
    def plant(x):
        x[20] = x[1]  # subjects 3 and 2, cameras 1 and 2
        x[27] = x[6] * 1.004  # subjects 4 and 1, cameras 2 and 1
        x[30] = x[18] + 0.002 * np.sign(np.random.default_rng(0).standard_normal(x[18].shape))  # the same subject and camera

    report = planted(tmp_path, plant)
    assert found(report) == {
        "duplicate sequences": ["r01", "r06", "r18"],
        "xsub: test among training": ["r27"],
        "xview: test among training": ["r01", "r27"],
    }
    words = {finding.kind: dict(finding.offenders) for finding in report.findings}
    assert words["duplicate sequences"] == {"r01": "the same as r20", "r06": "nearly r27", "r18": "nearly r30"}
    assert words["xsub: test among training"]["r27"] == "tests, and trains as r06"


def test_sequences_that_are_there_many_times_are_told_once_each(tmp_path):
    def plant(x):
        x[10:40] = x[10]  # subjects 5, 6, 1, ...: each beside the first of them

    report = planted(tmp_path, plant)
    words = {finding.kind: finding.offenders for finding in report.findings}
    assert words["duplicate sequences"] == tuple(("r10", f"the same as r{n}") for n in range(11, 40))
    testing = [f"r{n}" for n in range(10, 40) if n % 6 + 1 > 3]
    assert words["xsub: test among training"] == tuple((name, "tests, and trains as r12") for name in testing)


def test_a_sequence_that_is_listed_to_train_and_to_test_is_found(tmp_path):
    """As a division by lists of names may have it."""
    changed = replace(clean(), protocols={"own": Split("subject", (1, 2, 3, 4), test=(4, 5, 6))})
    report = planted(tmp_path, lambda x: None, benchmark=changed)
    expected = tuple((f"r{n:02}", "tests, and trains itself") for n in range(48) if n % 6 == 3)
    assert report.findings[-1].offenders == expected
    assert report.wrong


def poses(count: int, spread: float, frames: int = 30) -> np.ndarray:
    """(count, 3, frames, 20, 2): people who stand before the camera, each ``spread`` of their size from the others."""
    rng = np.random.default_rng(0)
    base, own = rng.standard_normal((1, 3, frames, 20, 2)), rng.standard_normal((count, 3, frames, 20, 2))
    return (base + spread / np.sqrt(2) * own).astype(np.float32)


def searched(x: np.ndarray):
    """The twins of an array, and how many pairs of whole sequences were compared for it."""
    looked = []

    class Counted(np.ndarray):
        def __getitem__(self, at):
            looked.append(at)
            return np.asarray(super().__getitem__(at))

    dataset = SkeletonDataset("made", x.view(Counted), np.arange(len(x)), None, KINECT_V1, ("a",), "")
    return twins(dataset, digests(x), sketch(x)), len(looked) // 2


@pytest.mark.parametrize("spread", [0.03, 0.1, 1])
def test_every_twin_is_found_and_nearly_nothing_else_is_compared(spread):
    """However alike all sequences are: of 179,700 pairs the few near ones are read."""
    x = poses(600, spread)
    rng = np.random.default_rng(1)
    for at in range(50):  # 0.5 to 0.99 % of their size apart: all in one frame, or all over it
        change = rng.standard_normal(x[at].shape)
        change[:, 1 if at % 2 else slice(None)] *= 100
        x[at + 300] = x[at] + change * np.linalg.norm(x[at]) / np.linalg.norm(change) * rng.uniform(0.005, 0.0099)
    found, looked = searched(x)
    assert set(found.near) == {(at, at + 300) for at in range(50)}
    assert found.whole
    assert looked < 60


def test_a_search_that_ends_early_says_so(tmp_path, monkeypatch):
    def plant(x):
        x[1:40] = x[1] * np.linspace(1, 1.008, 39).reshape(-1, 1, 1, 1, 1)

    monkeypatch.setattr("skelray.data.inspection.twins.MOST_PAIRS", 20)
    report = planted(tmp_path, plant)
    assert len(found(report)["duplicate sequences (of many: the search ended early)"]) == 20


def test_names_that_repeat_and_protocols_that_cannot_be_divided(tmp_path):
    benchmark = clean()
    recordings = [*benchmark.recordings(None)[:6], Recording("r01", body(99), 0, subject=1, camera=1)]
    protocols = {"xsub": Split("subject", (9,))}
    changed = replace(benchmark, recordings=lambda source: recordings, protocols=protocols)
    report = planted(tmp_path, lambda x: None, benchmark=changed)
    assert found(report) == {"duplicate names": ["r01"], "protocol xsub": ["xsub"]}
    assert "0 training and 7 test samples" in str(describe(tmp_path, "clean"))


def test_real_nwucla_has_camera_2_again_as_camera_3(shared, tmp_path):
    """95 files of the third camera are those of the second one: a finding about the data, not about us."""
    from skelray.data import NWUCLA

    prepare(NWUCLA, shared("data/NW-UCLA.zip"), tmp_path, Preprocessing("plain", 20))
    report = check_dataset(tmp_path, "nwucla")
    overlap = {finding.kind: finding.offenders for finding in report.findings}["xview: test among training"]
    assert len(overlap) == 95
    assert all(name.endswith("v03") and how == f"tests, and trains as {name[:-3]}v02" for name, how in overlap)


# describe ------------------------------------------------------------------------------------------------------------


def test_the_description_counts_what_is_there(tmp_path):
    def plant(x):
        x[:3, :, :, 4] = 0  # a joint of three sequences

    planted(tmp_path, plant)
    description = describe(tmp_path, "clean")
    assert description.classes == {"a": 12, "b": 12, "c": 12, "d": 12}
    assert description.groups == {"subject": dict.fromkeys(range(1, 7), 8), "camera": {1: 24, 2: 24}}
    assert description.unsaid == ("setup", "replication", "part")
    assert (description.lengths[0], description.lengths[-1]) == (20, 49)
    assert description.persons == {1: 48}
    assert description.empty_persons == (0, 48)
    assert description.empty_joints == {"shoulder_left": 3}
    assert [(one.name, one.train, one.held_out, one.test) for one in description.protocols] == [
        ("xsub", 24, 8, 24),
        ("xview", 24, 8, 24),
    ]
    text = str(description)
    for sentence in (
        "clean: 48 sequences of 40 frames, 20 joints, 2 persons",
        "4 classes, 12 to 12 sequences each",
        "subjects: 6 (1-6), 8 to 8 sequences each",
        "cameras: 2 (1, 2), 1: 24, 2: 24",
        "the source does not say: setup, replication, part",
        "place 2 is empty in 48 sequences",
        "shoulder_left is zero throughout in 3 sequences",
        "xsub: 24 train, 8 of them held out (subjects 3), 24 test; subject 1-3 trains",
    ):
        assert sentence in text


def test_the_origin_of_centred_data_is_no_empty_joint(whole):
    for path in ("centred", "rigid"):
        assert describe(whole[path], "clean").empty_joints == {}


def test_what_is_skipped_is_described(tmp_path):
    prepare(drawn_benchmark(40), None, tmp_path)
    text = str(describe(tmp_path, "drawn"))
    assert "left out: 4, said so" in text
    assert "few: " in text
    assert "2 classes" in text


def test_ranges_and_columns():
    assert _ranges([3, 1, 2, 7, 9, 10]) == "1-3, 7, 9, 10"
    assert _columns(["a", "b", "c"], width=9) == ["a   c", "b"]
    assert _columns(["long" * 30]) == ["long" * 30]


# pictures ------------------------------------------------------------------------------------------------------------


def test_a_picture_shows_classes_over_time(whole):
    dataset = open_dataset(whole["centred"], "clean")
    positions = typical_sequences(dataset)
    assert dataset.labels[positions].tolist() == [0, 1, 2, 3]
    figure = draw_picture(dataset, positions)
    assert len(figure.axes) == 4 * 8
    assert figure.axes[0].get_title(loc="left").startswith("a  (r")
    assert len(figure.axes[0].lines) == 19  # one bone each; the second person is not there
    assert picture_as_png(whole["centred"], "clean").startswith(b"\x89PNG")


@pytest.mark.parametrize(("path", "expected"), [("plain", (0, 1, 1)), ("centred", (0, 1, 1)), ("rigid", (0, 2, 1))])
def test_figures_stand_upright(whole, path, expected):
    dataset = open_dataset(whole[path], "clean")
    assert picture_axes(dataset.batch(range(48)), KINECT_V1.centre) == expected


def test_image_coordinates_point_down():
    pose = np.zeros((1, 3, 1, 18, 1), np.float32)
    pose[0, 1, 0, :, 0] = np.linspace(0.1, 0.9, 18)
    assert picture_axes(pose, OPENPOSE.centre) == (0, 1, -1)


def test_a_page_needs_nothing_beside_it(whole):
    text = description_page(describe(whole["plain"], "clean"), b"picture")
    assert 'src="data:image/png;base64,cGljdHVyZQ=="' in text
    assert "24 train, 8 of them held out" in text
    assert "http" not in text


# commands ------------------------------------------------------------------------------------------------------------


def test_the_commands(whole, tmp_path, monkeypatch, capsys):
    root = whole["centred"]
    picture, html = tmp_path / "a.png", tmp_path / "a.html"
    status, out, _ = call(
        monkeypatch, capsys, "data", "describe", "clean", "--data", root, "--picture", picture, "--html", html
    )
    assert status == 0
    assert "4 classes" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "</html>" in html.read_text()
    assert call(monkeypatch, capsys, "data", "check", "clean", "--data", root)[0] == 0
    planted(tmp_path, plant_zero)
    status, out, _ = call(monkeypatch, capsys, "data", "check", "clean", "--data", tmp_path)
    assert status == 1
    assert "r05: 4 of 40 frames" in out
    for verb in ("describe", "check"):
        status, _, err = call(monkeypatch, capsys, "data", verb, "nothing", "--data", root)
        assert status == 2
        assert "skelray: nothing is not prepared in" in err


def test_what_is_not_prepared_is_one_sentence(tmp_path):
    for look in (describe, check_dataset, picture_as_png):
        with pytest.raises(DataError, match="is not prepared in"):
            look(tmp_path, "clean")


def test_two_persons_are_drawn_and_checked(tmp_path):
    rng = np.random.default_rng(0)
    pairs = [
        Recording(f"p{n}", rng.normal(size=(12, 2, 25, 3)).cumsum(axis=0).astype(np.float32) / 50, n % 2, n)
        for n in range(6)
    ]
    benchmark = Benchmark("two", KINECT_V2, ("a", "b"), {"xsub": Split("subject", (1, 2, 3))}, 2, lambda source: pairs)
    prepare(benchmark, None, tmp_path, Preprocessing("plain", 12))
    dataset = open_dataset(tmp_path, "two")
    assert len(draw_picture(dataset, [0]).axes[0].lines) == 2 * 24
    assert describe(tmp_path, "two").persons == {2: 6}
    assert len(check_dataset(tmp_path, "two").findings) == 10
