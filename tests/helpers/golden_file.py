"""A golden file: its arrays as tensors, its settings, and comparison under its own stated tolerances."""

import json

import numpy as np
import torch
from torch import nn

F64 = {"rtol": 1e-8, "atol": 1e-10}


class GoldenFile:
    def __init__(self, path):
        with np.load(path, allow_pickle=False) as file:
            self.arrays = {name: file[name] for name in file.files if name != "meta"}
            self.meta = json.loads(str(file["meta"]))
        self.config = self.meta["config"]

    def __getitem__(self, name):
        return torch.from_numpy(np.array(self.arrays[name]))

    def __contains__(self, name):
        return name in self.arrays

    def under(self, prefix, dtype=None):
        """The tensors whose name starts with prefix, without it; floats cast to dtype."""
        found = {name[len(prefix) :]: self[name] for name in self.arrays if name.startswith(prefix)}
        return {name: t.to(dtype) if dtype and t.is_floating_point() else t for name, t in found.items()}

    def head(self, dtype):
        """The classifier of the released model, with its weights."""
        state = self.under("state/", dtype)
        if "fc.weight" in state:
            classes, dim = state["fc.weight"].shape
            head = nn.Linear(dim, classes, dtype=dtype)
        else:
            out, dim = state["fc.2.weight"].shape
            head = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, out)).to(dtype)
        head.load_state_dict({name[3:]: t for name, t in state.items() if name.startswith("fc.")})
        return head

    def cases(self):
        return sorted({name.split("/")[0] for name in self.arrays if "/" in name})

    def tolerance(self, dtype, quantity=None, gradient=False):
        if dtype == torch.float64:
            return F64
        stated = self.meta["tolerance"]
        if stated.get("exact") and quantity not in stated:
            return {"rtol": 0, "atol": 0}
        if quantity in stated:
            return stated[quantity]
        return stated.get("float32_per_quantity", {}).get(
            quantity, stated.get("float32_gradients" if gradient else "float32")
        )

    def close(self, actual, name, quantity=None, gradient=False):
        """actual equals the array under the tolerance for actual's dtype; nothing looser."""
        expected = self[name]
        torch.testing.assert_close(
            actual.detach().to(expected.dtype),
            expected,
            **self.tolerance(actual.dtype, quantity, gradient),
            msg=lambda text: f"{name}: {text}",
        )
