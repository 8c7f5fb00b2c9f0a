"""Counter draws: the published words of Philox, and numbers that only seed, name, epoch, step and place decide."""

from dataclasses import replace

import pytest
import tiny
import torch

from skelray.augment import BA, DAE, NA, AdaIN, CannotCapture, Clock, CounterDraws, Draws, Mask, encoder_input
from skelray.augment.philox import philox, words

# Random123's kat_vectors: counter, key -> words of philox4x32-10
VECTORS = {
    "zeros": ("00000000 " * 4, "00000000 " * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    "ones": ("ffffffff " * 4, "ffffffff " * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    "pi": ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
}


def hexadecimal(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize("name", VECTORS)
def test_the_words_are_those_of_random123(name):
    counter, key, expected = map(hexadecimal, VECTORS[name])
    found = philox([torch.tensor([word]) for word in counter], key)
    assert [int(word) for word in found] == expected


def test_a_shorter_draw_is_the_beginning_of_a_longer_one():
    place, key = (3, torch.tensor(1), torch.tensor(2)), (4, 5)
    long = words(1001, place, key, torch.device("cpu"))
    assert len(long.unique()) > 990
    assert all(torch.equal(words(count, place, key, long.device), long[:count]) for count in (1, 4, 7, 1000))


def draws(seed=0, epoch=1, step=0, captured=False):
    clock = Clock.of(seed, "cpu")
    clock.epoch.fill_(epoch)
    clock.step.fill_(step)
    return CounterDraws(seed, epoch, clock, captured)


def test_every_part_of_a_place_changes_what_is_drawn():
    def number(name="query", **place):
        return draws(**place).uniform(name, (4,), torch.device("cpu"))

    again = draws()
    found = [again.uniform("query", (4,), again.device) for _ in range(2)]
    found += [number("key"), number(seed=1), number(epoch=2), number(step=1)]
    assert torch.equal(found[0], number())
    assert len(torch.cat(found).unique()) == 24
    again.begin()
    assert torch.equal(again.uniform("query", (4,), again.device), found[0])


def test_numbers_follow_their_laws():
    some, device = draws(), torch.device("cpu")
    uniform = some.uniform("u", (100_000,), device)
    normal = some.normal("n", torch.empty(100_000), 2.0)
    integers = some.integers("i", 3, 7, 100_000, device)
    assert 0 <= uniform.min() < 1e-3
    assert 1 - 1e-3 < uniform.max() < 1
    assert uniform.mean().item() == pytest.approx(0.5, abs=5e-3)
    assert uniform.var().item() == pytest.approx(1 / 12, abs=1e-3)
    assert torch.corrcoef(torch.stack((uniform[1:], uniform[:-1])))[0, 1].abs() < 0.01
    assert normal.mean().item() == pytest.approx(0, abs=0.03)
    assert normal.std().item() == pytest.approx(2, abs=0.03)
    assert (normal.abs() < 2).float().mean().item() == pytest.approx(0.6827, abs=0.01)
    assert integers.bincount(minlength=8).tolist()[:3] == [0, 0, 0]
    assert (integers.bincount() / 20_000)[3:].sub(1).abs().max() < 0.03


def drawn(augment, seed, **place):
    view = replace(tiny.view(samples=8), draws=draws(seed, **place))
    torch.manual_seed(0)
    after = augment(view)
    return encoder_input(after, "joint", torch.tensor([7.0])), after


@pytest.mark.parametrize("augment", [BA, NA, Mask, AdaIN, DAE], ids=str)
def test_every_augmentation_draws_from_them(augment):
    """The seed decides, torch's own generators do not, and a captured step may do it too."""
    (x, view), (again, _), (other, third) = drawn(augment, 0), drawn(augment, 0, captured=True), drawn(augment, 1)
    assert torch.equal(x, again)
    if view.rewire is None:
        assert not torch.equal(x, other)
    else:
        graph = torch.ones(3, 25, 25)
        assert not torch.equal(view.rewire(graph), third.rewire(graph))


def test_a_captured_step_has_neither_generators_nor_the_number_of_the_epoch():
    captured, device = draws(captured=True), torch.device("cpu")
    with pytest.raises(CannotCapture, match="draws from a torch"):
        captured["query"]
    with pytest.raises(CannotCapture, match="number of the epoch"):
        captured.epoch  # noqa: B018
    eager = draws()
    assert eager.epoch == 1
    assert torch.equal(torch.rand(3, generator=eager["query"]), torch.rand(3, generator=Draws(0, 1)["query"], device=device))
