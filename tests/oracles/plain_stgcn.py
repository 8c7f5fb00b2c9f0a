"""A channels-first ST-GCN written the obvious way, with the released parameter names: an oracle and a speed baseline.

It runs the operations in the order and memory layout of the released encoders (methods.md, 4.1), so that a test can
compare values and a benchmark can compare times without the released code at hand.
"""

import torch
from torch import nn


class PlainBlock(nn.Module):
    def __init__(self, channels, out, stride, first, dropout):
        super().__init__()
        self.gcn = nn.Module()
        self.gcn.conv = nn.Conv2d(channels, 3 * out, 1)
        self.tcn = nn.Sequential(
            nn.BatchNorm2d(out),
            nn.ReLU(inplace=True),
            nn.Conv2d(out, out, (9, 1), (stride, 1), (4, 0)),
            nn.BatchNorm2d(out),
            nn.Dropout(0 if first else dropout, inplace=True),
        )
        self.first = first
        self.residual = None
        if not first and (channels != out or stride != 1):
            self.residual = nn.Sequential(nn.Conv2d(channels, out, 1, (stride, 1)), nn.BatchNorm2d(out))

    def forward(self, x, adjacency):
        residual = 0 if self.first else x if self.residual is None else self.residual(x)
        y = self.gcn.conv(x)
        b, kc, t, v = y.shape
        y = torch.einsum("nkctv,kvw->nctw", y.view(b, 3, kc // 3, t, v), adjacency).contiguous()
        return torch.relu(self.tcn(y) + residual)


class PlainSTGCN(nn.Module):
    def __init__(self, adjacency, hidden=16, dim=256, out=128, dropout=0.5):
        super().__init__()
        self.register_buffer("A", adjacency)
        widths = [hidden] * 4 + [2 * hidden] * 3 + [4 * hidden] * 2 + [dim]
        strides = [1, 1, 1, 1, 2, 1, 1, 2, 1, 1]
        self.data_bn = nn.BatchNorm1d(3 * adjacency.shape[1])
        self.st_gcn_networks = nn.ModuleList(
            PlainBlock(c, o, s, i == 0, dropout)
            for i, (c, o, s) in enumerate(zip([3, *widths[:-1]], widths, strides, strict=True))
        )
        self.edge_importance = nn.ParameterList(torch.ones_like(adjacency) for _ in widths)
        self.fc = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, out))

    def maps(self, x):
        """(N, C, T, V, M) -> (N M, dim, T', V)."""
        n, c, t, v, m = x.shape
        x = x.permute(0, 4, 3, 1, 2).contiguous().view(n * m, v * c, t)
        x = self.data_bn(x).view(n, m, v, c, t).permute(0, 1, 3, 4, 2).contiguous().view(n * m, c, t, v)
        for block, importance in zip(self.st_gcn_networks, self.edge_importance, strict=True):
            x = block(x, self.A * importance)
        return x

    def pool(self, maps, samples):
        return maps.mean(dim=(2, 3)).view(samples, -1, maps.shape[1]).mean(dim=1)

    def feature(self, x):
        return self.pool(self.maps(x), len(x))

    def forward(self, x):
        return self.fc(self.feature(x))
