"""What a search knows of all its samples at once is what reading all of them would tell."""

import random
from dataclasses import replace

from test_search import SWEEP, memory, read, search

from skelray.search import optuna_study
from skelray.search.progress import MOST_ASKED, Progress
from skelray.search.sample import Sample
from skelray.study.samplers import Random
from skelray.study.stopping import ASHA, HyperBand


def from_all(samples):
    """The same by reading all samples."""
    numbers = iter(range(len(samples) + 1))
    waits = [
        (next(e for e, said in s.verdicts[0].items() if said == "pause"), s)
        for s in samples.values()
        if s.status == "paused"
    ]
    waits.sort(key=lambda one: (-one[0], -one[1].rungs[one[0]], one[1].number))
    return {
        "next": next(number for number in numbers if number not in samples),
        "running": {n for n, s in samples.items() if s.status == "running"},
        "waiting": [s.number for _, s in waits],
        "epochs": sum(s.epochs + 9 * len(s.raced) for s in samples.values()),
        "seconds": round(sum(s.seconds for s in samples.values()), 6),
    }


def compared(samples, sample):
    others = [s for s in samples.values() if s.number < sample.number or s.started >= sample.started]
    return {s.number: s.rungs for s in (*others, sample)}


def test_it_is_what_reading_all_samples_would_tell():
    rng, samples, progress = random.Random(0), {}, Progress()
    for step in range(600):
        number = rng.randrange(40)
        sample = samples.setdefault(number, Sample(number, {}, {}, trials={0: str(number)}, started=float(step)))
        status = sample.status = rng.choice(["running", "paused", "done", "stopped", "failed"])
        at = rng.choice([1, 3, 9])
        sample.readings = {0: {epoch: rng.choice([0.1, 0.2, 0.3]) for epoch in (1, 3, 9) if epoch <= at}}
        sample.verdicts = {0: dict.fromkeys(sample.readings[0], "on") | ({at: "pause"} if status == "paused" else {})}
        sample.raced = {1: 0.5} if status == "done" and at == 9 else {}
        sample.seconds += 0.25
        progress.put(sample)
        told = from_all(samples)
        assert progress.next_number == told["next"]
        assert progress.running == told["running"]
        assert [*progress.waiting()] == told["waiting"][:MOST_ASKED]
        assert progress.epochs == told["epochs"]
        assert round(progress.seconds, 6) == told["seconds"]
        assert progress.readings(sample) == compared(samples, sample)
        assert progress.until(20, sample) == {s.number: s.rungs for s in samples.values() if s.number <= 20 or s is sample}
    again = Progress()
    for _, sample in sorted(samples.items()):
        again.put(sample)
    assert [*again.waiting()] == [*progress.waiting()]
    progress.clear()
    assert (progress.next_number, progress.epochs, [*progress.waiting()]) == (0, 0, [])


def test_of_the_samples_that_wait_in_a_bracket_the_best_is_asked_about():
    rule = HyperBand(grace=1, reduction=2, brackets=2, promotion=True)
    progress = Progress(rule.bracket)
    for number in range(9):
        progress.put(Sample(number, {}, {}, "paused", {0: {2: number / 10}}, {0: {2: "pause"}}, {0: str(number)}))
    brackets = [rule.bracket(number) for number in progress.waiting()]
    assert sorted(brackets) == [0, 1]
    assert next(progress.waiting()) == 8


def test_one_more_proposal_or_verdict_looks_at_no_other_sample_again(monkeypatch):
    """The cost of sample 40 is that of sample 4: so many samples are looked into, and so many made for Optuna."""
    looked, made = [], []
    rungs, frozen = Sample.rungs, optuna_study.frozen_trial
    monkeypatch.setattr(Sample, "rungs", property(lambda sample: looked.append(sample.number) or rungs.fget(sample)))
    monkeypatch.setattr(
        optuna_study, "frozen_trial", lambda sample, *how: made.append(sample.number) or frozen(sample, *how)
    )
    rule = ASHA(grace=1, promotion=True)
    searching, costs = search(memory("costs"), replace(SWEEP, samples=41, stopping=rule, sampler=Random())), []
    while (sample := searching.propose()) is not None:
        looked.clear()
        made.clear()
        read(searching, sample, 1, 0.9 - 0.01 * sample.number, {})
        searching.end_sample(sample, "paused")
        searching.promoted()
        costs.append((len(looked), len(made)))
    assert costs[4] == costs[40]
