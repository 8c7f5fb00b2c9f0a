"""The files of cluster/: the shell part runs against a fake Slurm, the others have the shape that their readers ask for."""

import json
import os
import signal
import subprocess
import time
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FAKES = {
    "scontrol": 'case "$1" in show) echo node1; echo node2;; *) echo "$@" >> "$FAKE/scontrol.txt";; esac',
    "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"',
    "ray": 'echo "$@" >> "$FAKE/ray.txt"; while [ "$1" != "--" ]; do shift; done; shift; exec "$@"',
    "skelray": 'echo "$@" > "$FAKE/skelray.txt"; echo "${#RAY_AUTH_TOKEN} $RAY_AUTH_MODE" > "$FAKE/token.txt"; eval "$THEN"',
}


def slurm(folder, then, *words):
    for name, body in FAKES.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    env |= {"PATH": f"{folder}:{os.environ['PATH']}", "FAKE": str(folder), "THEN": then, "SLURM_JOB_ID": "12345"}
    env |= {"SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "16"}
    return subprocess.Popen(
        ["bash", str(ROOT / "cluster/slurm.sbatch"), *words], env=env, stderr=subprocess.PIPE, text=True, cwd=folder
    )


def test_a_job_of_slurm_runs_the_study_on_all_nodes_with_a_token(tmp_path):
    job = slurm(tmp_path, "exit 3", "studies/arrangement.py", "--store", "/shared/my store")
    assert job.wait(timeout=60) == 3  # the study's own status
    job.stderr.close()
    assert (tmp_path / "skelray.txt").read_text().strip() == (
        "run studies/arrangement.py --store /shared/my store --address node1:22345"
    )
    assert (tmp_path / "token.txt").read_text().split() == ["64", "token"]
    said = (tmp_path / "ray.txt").read_text()
    assert said.startswith("symmetric-run --address node1:22345 --min-nodes 2 --num-cpus 16 -- skelray run")
    assert not (tmp_path / "scontrol.txt").exists()


def test_a_job_of_slurm_that_is_preempted_ends_its_study_and_is_queued_again(tmp_path):
    job = slurm(tmp_path, 'trap "touch saved; exit 143" TERM; touch begun; while true; do sleep 0.1; done', "s.py")
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    job.wait(timeout=60)
    job.stderr.close()
    assert (tmp_path / "saved").exists()
    assert (tmp_path / "scontrol.txt").read_text() == "requeue 12345\n"


def test_a_job_of_slurm_without_a_study_says_so(tmp_path):
    job = slurm(tmp_path, "")
    _, said = job.communicate(timeout=60)
    assert (job.returncode, "give a study" in said) == (2, True)


def test_a_job_of_kubernetes_has_a_token_and_the_version_that_is_pinned():
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    job = yaml.safe_load((ROOT / "cluster/kuberay.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == metadata.version("ray")
    assert cluster["authOptions"] == {"mode": "token"}
    assert job["spec"]["entrypoint"].startswith("skelray run studies/arrangement.py --address auto")
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        spec = group["template"]["spec"]
        (container,) = spec["containers"]
        names = {one["name"] for one in container["env"]}
        assert names == {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"}
        assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in spec["volumes"]}


def test_the_cluster_on_aws_is_one_that_ray_takes():
    """By the schema of `ray up`."""
    yaml, schema = pytest.importorskip("yaml"), pytest.importorskip("jsonschema")
    util = pytest.importorskip("ray.autoscaler._private.util")
    content = yaml.safe_load((ROOT / "cluster/aws.yaml").read_text())
    path = Path(util.__file__).parents[1] / "ray-schema.json"
    schema.validate(content, json.loads(path.read_text()))
    assert content["available_node_types"]["worker"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert content["head_node_type"] in content["available_node_types"]


def test_the_image_has_the_pinned_versions():
    text = (ROOT / "cluster/Dockerfile").read_text()
    assert f"ray[default,tune]=={metadata.version('ray')}" in text
    for line in text.splitlines():
        if line.startswith("COPY"):
            assert all((ROOT / name).exists() for name in line.split()[1:-1])
