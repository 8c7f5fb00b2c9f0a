"""Preparing NTU-like text files, beside the obvious way of doing it, on this machine, in one run; keep it otherwise idle.

    python benchmarks/prepare_speed.py

A folder of made-up ``.skeleton`` files (85 frames on average, one in six with two bodies, about 0.32 MB) is prepared on
one core along both paths, few files and many. The plain side reads line by line and preprocesses frame by frame, as the
released code does; it is measured on a few files. Rates are files by second of CPU time, which other work on the machine
disturbs least; peak memory is that of a process of its own. The released code's figures were measured elsewhere.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

PUBLISHED = {"read": 164, "centred": 1110, "rigid": 51}  # files or sequences a second of the released code, one core


def write(folder, count, seed=0):
    """Files of one drawn text each in which only the first coordinates differ; returns their bytes."""
    rng = np.random.default_rng(seed)
    size = 0
    texts = []
    for kind in range(36):  # drawn once and written often: the time is for reading
        frames, bodies = int(rng.integers(50, 121)), 1 + (kind % 6 == 0)
        joints = rng.normal((0, 0, 3), 0.5, (bodies, 25, 3)) + rng.normal(0, 0.05, (frames, bodies, 25, 3)).cumsum(0) * 0.2
        lines = [str(frames)]
        for frame in joints:
            lines.append(str(bodies))
            for number, body in enumerate(frame):
                lines += [f"7205759403793110{number} 0 1 1 1 1 0 0.02764709 0.07745384 2", "25"]
                lines += [
                    f"{x:.7f} {y:.7f} {z:.6f} 283.4{k:03d} 203.7{k:03d} 1030.5{k:02d} 519.1{k:02d} "
                    f"-0.2059{k:03d} 0.0481{k:03d} 0.9725{k:03d} -0.0976{k:03d} 2"
                    for k, (x, y, z) in enumerate(body)
                ]
        texts.append("\n".join(lines) + "\n")
    for number in range(count):
        name = f"S{number // 10000 + 18:03}C{number // 3600 % 3 + 1:03}P{number // 60 % 60 + 1:03}R001A{number % 60 + 1:03}"
        text = texts[number % len(texts)]
        (folder / f"{name}.skeleton").write_text(text)
        size += len(text)
    return size


def spent():
    """Seconds of CPU time of this process and of its finished children."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def peak(who):
    return resource.getrusage(who).ru_maxrss / 1024


def ours(source, root, path, frames, workers):
    """Files, wall and CPU seconds of preparing a folder, and MiB: before, at the peak, and of the largest child."""
    from skelray.data import NTU120, Preprocessing, prepare

    before, wall, cpu = peak(resource.RUSAGE_SELF), time.perf_counter(), spent()
    kept = prepare(NTU120, source, root, Preprocessing(path, frames), workers=workers).sequences
    wall, cpu = time.perf_counter() - wall, spent() - cpu
    return kept, wall, cpu, before, peak(resource.RUSAGE_SELF), peak(resource.RUSAGE_CHILDREN)


def plain_read(path, most=4):
    """(3, 300, 25, most), read line by line."""
    data = np.zeros((3, 300, 25, most), np.float32)
    with open(path) as file:
        for t in range(int(file.readline())):
            for m in range(int(file.readline())):
                file.readline()
                for v in range(int(file.readline())):
                    values = [float(word) for word in file.readline().split()]
                    if t < 300 and m < most:
                        data[:, t, v, m] = values[:3]
    return data


def plain_centred(data):
    """The 50 frames of SkeletonCLR's path, person by person and frame by frame."""
    length = sum(1 for t in range(300) if np.abs(data[:, t, 0, 0]).sum() != 0)
    data = data[..., :2] - data[:, :, 20:21, :2]
    out = np.zeros((3, 50, 25, 2), np.float32)
    for t in range(50):
        at = min(max((t + 0.5) * length / 50 - 0.5, 0), length - 1)
        low = int(at)
        out[:, t] = data[:, low] * (1 - at + low) + data[:, min(low + 1, length - 1)] * (at - low)
    for m in range(2):
        line = out[:, :, 8, m] - out[:, :, 4, m]
        sign = -1 if line[2].sum() >= 0 else 1
        for t in range(50):
            angle = sign * np.arccos(line[0, t] / (np.hypot(line[0, t], line[2, t]) + 1e-4))
            cos, sin = np.cos(angle), np.sin(angle)
            out[:, t, :, m] = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]]) @ out[:, t, :, m]
    return out


def plain_rotation(vector, onto):
    axis = np.cross(vector, onto)
    if np.abs(axis).sum() < 1e-6:
        return np.eye(3)
    angle = np.arccos(np.clip(vector @ onto / np.linalg.norm(vector), -1, 1))
    x, y, z = axis / np.linalg.norm(axis)
    across = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * across + (1 - np.cos(angle)) * across @ across


def plain_rigid(data):
    """The 300 frames of HiCo's path, joint by joint."""
    clip = data.transpose(3, 1, 2, 0)  # (M, T, V, 3)
    energy = [body[body.sum((1, 2)) != 0].reshape(-1, 3).std(0).sum() if body.any() else 0 for body in clip]
    clip = clip[np.argsort(energy)[::-1][:2]].copy()
    for body in clip:
        if not body.any():
            continue
        length = 300
        while body[length - 1].sum() == 0:
            length -= 1
        for t in range(length, 300):
            body[t] = body[t - length]
    centre = clip[0, :, 1].copy()
    for body in clip:
        for t in range(300):
            for v in range(25):
                if body[t, v].sum() != 0:
                    body[t, v] -= centre[t]
    for first, last, onto in ((0, 1, np.array([0, 0, 1.0])), (4, 8, np.array([1.0, 0, 0]))):
        turn = plain_rotation(clip[0, 0, last] - clip[0, 0, first], onto)
        for body in clip:
            for t in range(300):
                for v in range(25):
                    if body[t, v].any():
                        body[t, v] = turn @ body[t, v]
    return clip.transpose(3, 1, 2, 0)


def plain(paths, kept):
    """CPU seconds a file of reading, and of both paths, and how far the results are from ours."""
    from skelray.data.formats.ntu import read_skeleton
    from skelray.data.preprocess import Preprocessing
    from skelray.skeleton import KINECT_V2

    paths = [Path(path) for path in paths]
    started = time.process_time()
    arrays = [plain_read(path) for path in paths]
    seconds = {"read": (time.process_time() - started) / len(paths)}
    for name, way, frames in (("centred", plain_centred, 50), ("rigid", plain_rigid, 300)):
        chosen = arrays[: len(arrays) if name == "centred" else kept]
        started = time.process_time()
        made = [way(array) for array in chosen]
        seconds[name] = (time.process_time() - started) / len(chosen)
        bodies = [read_skeleton(path.read_bytes()) for path in paths[: len(chosen)]]
        step = Preprocessing(name, frames)
        started = time.process_time()
        fast = [step(body, KINECT_V2, 2) for body in bodies]
        seconds[f"our {name}"] = (time.process_time() - started) / len(chosen)
        apart = max(np.abs(one - other).max() for one, other in zip(made, fast, strict=True))
        if apart > 1e-3:
            raise SystemExit(f"the plain {name} path differs from ours by {apart}")
    return seconds


def apart(side, *arguments):
    """A side in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(side, *arguments).result()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--many", type=int, default=5000)
    parser.add_argument("--plain", type=int, default=48, help="files that the plain side reads")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        sources = {}
        for count in (options.few, options.many):
            sources[count] = root / f"files{count}"
            sources[count].mkdir()
            size = write(sources[count], count)
        print(f"{options.many} files of {size / options.many / 1e6:.2f} MB, {options.workers} process(es)", flush=True)
        paths = sorted(sources[options.few].iterdir())[: options.plain]
        slow = apart(plain, [str(path) for path in paths], max(4, options.plain // 6))
        for path, frames in (("centred", 50), ("rigid", 300)):
            ends = 1 / (slow["read"] + slow[path])
            released = 1 / (1 / PUBLISHED["read"] + 1 / PUBLISHED[path])
            print(f"{path}: read and preprocessed: released {released:.1f} files/s a core, plain way here {ends:.1f}")
            ratio = slow[path] / slow[f"our {path}"]
            print(
                f"  preprocessing alone: released {PUBLISHED[path]}/s, plain {1 / slow[path]:.1f}/s, "
                f"skelray {1 / slow[f'our {path}']:.0f}/s: {ratio:.1f} times the plain one"
            )
            for count in (options.few, options.many):
                kept, wall, cpu, before, top, child = apart(
                    ours, sources[count], root / f"{path}{count}", path, frames, options.workers
                )
                rate = kept / cpu
                print(
                    f"  skelray, {count} files: {rate:.1f} a second of CPU time ({kept / wall:.1f} of wall time), "
                    f"{rate / ends:.1f} times the plain way, {rate / released:.1f} times the released code; "
                    f"peak {top:.0f} MiB, {before:.0f} before it began, largest child {child:.0f} MiB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
