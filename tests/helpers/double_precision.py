"""Training by a static step, and features of it, in double precision, so that lanes differ from trials alone by rounding."""

from skelray.engine.resident import Resident
from skelray.training import Pretraining


def double_precision(monkeypatch):
    view, untrained, frozen = Resident.view, Pretraining._untrained, Pretraining.frozen_encoder

    def features(training, load=None):
        made = frozen(training, load)
        made.view = lambda *given: (found := type(made).view(made, *given)).with_x(found.x.double())
        return made

    monkeypatch.setattr(Resident, "view", lambda *given: (found := view(*given)).with_x(found.x.double()))
    monkeypatch.setattr(Pretraining, "_untrained", lambda training: untrained(training).double())
    monkeypatch.setattr(Pretraining, "frozen_encoder", features)
