"""The check for a card is rehearsed on a CPU: every part runs, says what it found, and what is right there holds here."""

import json

import gpu_check

from skelray.bench import static


def test_a_rehearsal_runs_every_part(tmp_path):
    gpu_check.main(["--device", "cpu", "--tiny", "--out", str(tmp_path)])
    lines = [json.loads(line) for line in (tmp_path / "gpu_check.jsonl").read_text().splitlines()]
    parts = [line["part"] for line in lines]
    assert list(dict.fromkeys(parts)) == [*gpu_check.PARTS, "end"]
    found = {part: [line for line in lines if line["part"] == part] for part in parts}
    assert found["card"][0]["float32_tflop_s"] > 0
    (right,) = found["right"]
    assert right["captured"], right
    assert right["against_calls"] == 0
    assert right["runs_equal"], right
    assert right["resumed_equal"], right
    cosines = {line["precision"]: line["cosine"] for line in found["gradients"]}
    assert cosines["float32"] > 0.9999
    assert cosines["bfloat16"] > 0.98
    sides = [line["side"] for line in found["speed"]]
    assert sides == ["plain", "loader-fed plain", "engine, float32", "engine, bfloat16"]
    assert all(line["samples_per_second"] > 0 for line in found["speed"])
    assert found["packs"][0]["against_alone"] < 1e-4
    assert [line.get("lanes", "beside") for line in found["packs"][1:]] == [1, 2, "beside"]
    assert [(line["precision"], len(line["top1"])) for line in found["accuracy"]] == [("float32", 2), ("bfloat16", 2)]
    assert found["kernels"] == [{"part": "kernels", "skipped": "no CUDA device, so no kernels"}]
    assert found["end"] == [{"part": "end", "left": []}]


def test_what_the_time_did_not_suffice_for_is_named(tmp_path):
    gpu_check.main(["--device", "cpu", "--tiny", "--out", str(tmp_path), "--budget", "0", "--part", "right"])
    (line,) = (tmp_path / "gpu_check.jsonl").read_text().splitlines()
    assert json.loads(line) == {"part": "end", "left": ["right skeletonclr"]}


def test_a_rate_is_of_epochs_of_the_engine(monkeypatch):
    trial = gpu_check.Check.trial(type("Tiny", (), {"tiny": True}), "skeletonclr")
    found = static.rate(trial, gpu_check.torch.device("cpu"), 2)
    assert found.seconds > 0
    assert found.captured
    assert (found.memory, found.prepared) == (0, found.prepared)
