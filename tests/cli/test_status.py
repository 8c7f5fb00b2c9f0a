"""`skelray status`: studies, runs, claims and nodes, of a local store and of one on S3, while others work on them."""

import os
import re
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from click.testing import CliRunner
from result_rows import row

from skelray.cli.main import cli
from skelray.results import runs
from skelray.results import tables as results
from skelray.results.runs import RunningTrial, RunRecord
from skelray.store import lease
from skelray.store.claims import claims
from skelray.store.store import Store

HOLDER = """
import sys
from skelray.store.store import Store
with Store(sys.argv[1]).trial("abc").claim(3):
    print("claimed", flush=True)
    sys.stdin.read()
"""


def status(tmp_path, *options, store="store"):
    words = ["status", "--results", str(tmp_path / "results"), "--store", str(tmp_path / store), *options]
    found = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert found.exit_code == 0
    return found.output


def line_of(text, name):
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_nothing_is_said_where_nothing_is(tmp_path):
    assert re.fullmatch(r"No study has a table or a run in \S+\.\n", status(tmp_path))


def test_a_study_says_how_much_is_done_and_who_runs_it(tmp_path):
    folder, now = tmp_path / "results", time.time()
    ends = [("a", "done"), ("b", "done"), ("b", "failed"), ("c", "stopped"), ("d", "done")]
    rows = [
        row(
            study="one",
            trial=trial,
            evaluation=f"e{number}",
            status=end,
            **({"value": float("nan")} if end == "failed" else {}),
        )
        for number, (trial, end) in enumerate(ends)
    ]
    results.write_table("one", rows, [], folder)
    results.write_table("alone", [row(study="alone")], [], folder)
    record = RunRecord("one", "skelray run", "gpu1", 17, now - 7200, now, 10, 1000, passed=500, trained=500)
    record.going["d-3"] = RunningTrial("d", 3, now)
    runs.write_record(record, folder)
    runs.write_record(replace(record, study="silent", seen=now - 600, process=18), folder)
    runs.write_record(replace(record, study="over", state="ended", seen=now - 60), folder)
    text = status(tmp_path)
    assert line_of(text, "one")[2:] == ["10", "2", "1", "1"]
    assert re.fullmatch(r"runs for 2 h \(process 17 on gpu1\), 1 under way, .* left", line_of(text, "one")[1])
    assert line_of(text, "alone") == ["alone", "–", "–", "1", "0", "0"]
    assert line_of(text, "silent")[1] == "dead (process 18 on gpu1): no sign of it for 10 min"
    assert line_of(text, "over")[1] == "ended 1 min ago (process 17 on gpu1)"


def test_a_table_that_cannot_be_read_hides_no_other(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "torn.parquet").write_bytes(b"PAR1")
    results.write_table("sound", [row(study="sound")], [], tmp_path / "results")
    text = status(tmp_path)
    assert "torn.parquet cannot be read" in line_of(text, "torn")[1]
    assert line_of(text, "sound")[3] == "1"


def holding(root):
    words = [sys.executable, "-c", HOLDER, root]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "claimed\n"
    return holder


def test_who_works_on_a_trial_is_told_and_not_disturbed(tmp_path):
    holder = holding(str(tmp_path / "store"))
    try:
        first, second = claims(Store(tmp_path / "store")), claims(Store(tmp_path / "store"))
        assert [(one.what, one.process, one.alive) for one in first] == [("abc", holder.pid, True)]
        assert first == second
        assert line_of(status(tmp_path), "abc")[1].startswith(f"process {holder.pid} on ")
    finally:
        holder.communicate("")
    assert claims(Store(tmp_path / "store")) == []  # what it has signed is still there
    assert "Nothing is claimed in" in status(tmp_path)


def test_a_lease_says_whether_it_is_renewed(tmp_path):
    store, now = Store(tmp_path / "store"), time.time()
    for name, age in (("abc~far~7~1", 5.0), ("def~far~8~1", 600.0)):
        store.write(f"t/claims/{name}", b"x")
        os.utime(tmp_path / "store" / "t" / "claims" / name, (now - age, now - age))
    store.write(f"t/claims/ghi~{lease.HOST}~99999999~1", b"x")
    assert {one.process: one.alive for one in claims(store)} == {7: True, 8: False, 99999999: False}
    assert "dead: not renewed for 10 min" in status(tmp_path)


@pytest.mark.ray
def test_the_nodes_of_a_cluster_are_listed(cluster):
    from skelray.report.status import nodes_table
    from skelray.runner.nodes import all_nodes

    table = nodes_table(all_nodes())
    assert table.rows[0][1] == "alive"
    assert int(table.rows[0][2]) > 0
