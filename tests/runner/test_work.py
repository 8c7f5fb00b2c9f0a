"""Every kind of study keeps the contract that runners rely on, and its first trial to its last is run by one loop."""

from contextlib import nullcontext

import pytest
from small_study import ABLATION, SWEEP, Heard, make_run, study_file

from skelray.results.book import Book
from skelray.results.rows import complete
from skelray.runner.inline import run_inline
from skelray.runner.job import Job
from skelray.runner.work import Work
from skelray.store.store import StoreError

FUSION = """
    from skelray import Fusion
    def space(trial):
        return {"joint": trial.suggest_float("joint", 0.0, 1.0), "bone": 0.5}
    study = Fusion(base=base, space=space, published={"joint": 0.5, "bone": 0.5}, evaluation=KNN(), samples=5)
"""
KINDS = {"ablation": ABLATION, "sweep": SWEEP, "fusion": FUSION}


@pytest.fixture(params=KINDS, scope="module")
def finished(request, tmp_path_factory, synthetic_data):
    """A run of each kind that has ended, with what it said of itself before, and another on the same store."""
    folder = tmp_path_factory.mktemp(request.param)
    path = study_file(folder, KINDS[request.param])
    run, _ = make_run(path, folder, synthetic_data, epochs=1, samples=2)
    before, heard = (run.work.size(), run.work.planned()), Heard()
    run_inline(run, heard)
    return run, make_run(path, folder, synthetic_data, epochs=1, samples=2)[0], before, heard


def rows(run):
    book = Book(run.name, run.settings.results)
    run.work.put_all(book)
    return [row for _, some in sorted(book.rows.items()) for row in some]


def test_the_work_of_a_study_has_all_that_runners_ask_for(finished):
    run, *_ = finished
    assert isinstance(run.work, Work)


def test_what_is_missing_is_run_and_then_is_not_missing(finished):
    run, again, ((trials, epochs, done), _), heard = finished
    assert (done, epochs) == (0, trials)  # of one epoch each
    assert sum(not job.final for job in heard.jobs) == trials
    for one in (run, again):
        assert one.work.size() == (trials, 0, trials)
        with one.session():
            assert list(one.jobs()) == []


def test_a_plan_has_a_row_for_each_trial(finished):
    run, _, ((trials, *_), planned), _ = finished
    assert sum(not row.final for row in planned) == trials
    assert len({row.name for row in planned}) == len(planned)
    assert {row.trial.benchmark for row in planned} == {"synthetic"}
    assert [row.trial.epochs for row in run.work.planned()] == [1] * len(planned)


def test_rows_that_came_job_by_job_are_those_of_the_store(finished):
    run, again, *_ = finished
    kept = [row for _, some in sorted(run.book.rows.items()) for row in some]
    assert kept == rows(again) == rows(run) != []


def test_the_finals_are_jobs_that_come_last_and_train_nothing(finished):
    run, _, _, heard = finished
    assert [job.final for job in heard.jobs] == sorted(job.final for job in heard.jobs)
    finals = [job for job in heard.jobs if job.final]
    assert (finals == []) is (type(run.study).__name__ == "Ablation")
    assert all(complete(job.trial, job.stored) for job in finals)
    assert not any(epoch for name, epoch in heard.trained if name in {job.name for job in finals})  # none is trained


def test_two_claims_of_one_search_are_refused_and_of_a_table_do_no_harm(finished):
    run, again, *_ = finished
    alone = type(run.study).__name__ == "Sweep"
    with run.work.claim(), pytest.raises(StoreError) if alone else nullcontext(), again.work.claim():
        pass


class Pair:
    """A kind of study that no file of the package knows: two trials, the second only once the first has ended."""

    most_waiting = 1.0

    def __init__(self, jobs):
        self.jobs, self.ends, self.closed = jobs, [], False

    def missing(self):
        yield self.jobs[0]
        while not self.ends:
            yield None
        yield self.jobs[1]

    def ended(self, job, status):
        self.ends.append((job.number, status))
        return status

    def should_continue(self, job, report, source):
        return job.number == 0 or report.epoch < 2

    def close(self, book):
        self.closed = True


def test_a_new_kind_of_study_touches_no_runner(tmp_path, synthetic_data):
    run, _ = make_run(study_file(tmp_path, ABLATION), tmp_path, synthetic_data, epochs=3)
    known = run.work

    class Work(Pair):
        claim, put, put_all = known.claim, known.put, known.put_all

    run.work = work = Work([Job(n, job.name, job.trial, job.stored) for n, job in enumerate(known.jobs[:2])])
    jobs = run.jobs()
    assert [next(jobs).number, next(jobs)] == [0, None]
    run.running.clear()
    heard = Heard()
    run_inline(run, heard)
    assert (work.ends, work.closed) == ([(0, "done"), (1, "stopped")], True)
    assert len(heard.trained) == 3 + 2
