"""HiCo's hierarchical encoder written the obvious way, from torch's own layers: a speed baseline and an oracle.

Layouts, operations and their order are those of the released encoder (methods.md, 4.3): every granularity runs through the
same torch.nn encoder by itself, and downsampling is a depth-wise Conv1d between transposes.
"""

import torch
from torch import nn
from torch.nn import functional as F


class PlainDomain(nn.Module):
    def __init__(self, kind, inputs, width, granularity, dropout):
        super().__init__()
        self.granularity = granularity
        self.embedding = nn.Sequential(nn.Linear(inputs, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width))
        conv = nn.ModuleDict({"dw_conv": nn.Conv1d(width, width, 5, padding=2, groups=width)})
        self.downsample = nn.ModuleDict({"conv": conv, "norm": nn.LayerNorm(width)})
        if kind == "transformer":
            layer = nn.TransformerEncoderLayer(width, 4, width, dropout, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        else:
            recurrence = {"gru": nn.GRU, "lstm": nn.LSTM}[kind]
            self.encoder = recurrence(width, width // 2, batch_first=True, bidirectional=True)

    def forward(self, x):
        x, features = self.embedding(x), []
        for level in range(self.granularity):
            if level:
                x = self.downsample["conv"]["dw_conv"](x.transpose(1, 2)).transpose(1, 2)
                x = F.max_pool1d(F.relu(self.downsample["norm"](x)).transpose(1, 2), 2).transpose(1, 2)
            y = self.encoder(x)
            features.append((y if isinstance(y, torch.Tensor) else y[0]).max(dim=1).values)
        return torch.stack(features, dim=1)


class PlainHiCo(nn.Module):
    """Encoder and five projectors: (N, C, T, V, M) -> unit embeddings by name, (N, G or 1, dim)."""

    def __init__(self, kind, joints=25, persons=2, frames=64, width=512, granularity=4, dim=128, dropout=0.1):
        super().__init__()
        self.t = PlainDomain(kind, persons * joints * 3, width, granularity, dropout)
        self.s = PlainDomain(kind, frames * 3, width, granularity, dropout)
        widths = {"clip": 1, "part": 1, "temporal": granularity, "spatial": granularity, "instance": 2 * granularity}
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(times * width, width), nn.ReLU(), nn.Linear(width, dim))
                for name, times in widths.items()
            }
        )

    def encode(self, x):
        n, c, t, v, m = x.shape
        clip = self.t(x.permute(0, 2, 4, 3, 1).reshape(n, t, m * v * c))
        part = self.s(x.permute(0, 4, 3, 2, 1).reshape(n, m * v, t * c))
        return clip, part

    def released(self):
        """The encoder's state under the released names."""
        domains = {name: tensor for name, tensor in self.state_dict().items() if not name.startswith("heads.")}
        return {f"hi_encoder.{name.replace('.', '_', 1)}": tensor for name, tensor in domains.items()}

    def forward(self, x):
        clip, part = self.encode(x)
        time, space = clip.flatten(1), part.flatten(1)
        features = {
            "clip": clip,
            "part": part,
            "temporal": time[:, None],
            "spatial": space[:, None],
            "instance": torch.cat([time, space], dim=1)[:, None],
        }
        return {name: F.normalize(head(features[name]), dim=-1) for name, head in self.heads.items()}
