"""The program that made the embedded encoder: ERNIE's masked language model in torch, one process per core, bf16.

    pip install torch safetensors numpy
    export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184 GLOO_SOCKET_IFNAME=lo
    python docs/record/pretrain_encoder.py --data pretrain_kit/ --init FIRST_VERSION --out build/a --minutes 75
    python docs/record/pretrain_encoder.py --data pretrain_kit/ --init build/a --out build/b --minutes 46 \
      --learning-rate 6e-4 --mask-rate 0.25 0.15 --long 0.04 --at 136800 3136

A record, not a part of the builders, which do without torch (`ernie-triton build pretrain` is the builders' command):
on a CPU Paddle 3.3 trains in float32 only, and this CPU's AMX multiplies bf16 several times as fast. The folder of
--data holds tokens.u16 (docs/pretraining.md, format `packed`). The objective is the builders': whole words are hidden;
80% of their tokens become [MASK], 10% another token, 10% stay. The rate of hidden words falls during training (Ankner
et al. 2024), the learning rate falls linearly to 0 after the warm-up; windows have 128 tokens, in the last part 512.
After an interruption the same command resumes from the last state (saved every 5 minutes).
"""

import argparse
import json
import os
import pathlib
import time

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

CLS, MASK, FIRST = 1, 3, 5
HELD_OUT = 400_000
LAYERS, HIDDEN, HEADS, POSITIONS = 4, 312, 12, 512
TABLES = {"word_embeddings": "word", "position_embeddings": "position"} | {
    f"{name}_type_embeddings": name for name in ("token", "task")
}
PARTS = {
    "attention.output.dense": "out",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "norm2",
}
QKV = ("query", "key", "value")


class Layer(nn.Module):
    """Attention and feed-forward, norms behind. Attention is written out: torch's own is slow for heads of 26."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(HIDDEN, 3 * HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.up, self.down = nn.Linear(HIDDEN, 4 * HIDDEN), nn.Linear(4 * HIDDEN, HIDDEN)
        self.norm1, self.norm2 = nn.LayerNorm(HIDDEN, 1e-12), nn.LayerNorm(HIDDEN, 1e-12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, length, _ = x.shape
        q, k, v = self.qkv(x).view(rows, length, 3, HEADS, HIDDEN // HEADS).permute(2, 0, 3, 1, 4)
        weights = torch.softmax((q * (HIDDEN // HEADS) ** -0.5) @ k.transpose(-1, -2), -1)
        x = self.norm1(x + self.out((weights @ v).transpose(1, 2).reshape(rows, length, HIDDEN)))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class MaskedModel(nn.Module):
    """Encoder and head; the decoder's weights are the word embeddings."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.word, self.position = nn.Embedding(words, HIDDEN), nn.Embedding(POSITIONS, HIDDEN)
        self.token, self.task = nn.Embedding(4, HIDDEN), nn.Embedding(16, HIDDEN)
        self.norm, self.layers = nn.LayerNorm(HIDDEN, 1e-12), nn.ModuleList(Layer() for _ in range(LAYERS))
        self.transform, self.head_norm = nn.Linear(HIDDEN, HIDDEN), nn.LayerNorm(HIDDEN, 1e-12)
        self.bias = nn.Parameter(torch.zeros(words))

    def forward(self, ids: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        x = self.word(ids) + self.position.weight[: ids.shape[1]] + self.token.weight[0] + self.task.weight[0]
        x = self.norm(x)
        for layer in self.layers:
            x = layer(x)
        x = self.head_norm(F.gelu(self.transform(x.flatten(0, 1)[places])))
        return F.linear(x, self.word.weight, self.bias)


def names() -> list[tuple[str, str, str]]:
    """(file, name there, name here) of each weight; the three of an attention are joined here."""
    found = [("encoder", f"embeddings.{theirs}.weight", f"{ours}.weight") for theirs, ours in TABLES.items()]
    for kind in ("weight", "bias"):
        found.append(("encoder", f"embeddings.LayerNorm.{kind}", f"norm.{kind}"))
        found.append(("mlm_head", f"predictions.transform.dense.{kind}", f"transform.{kind}"))
        found.append(("mlm_head", f"predictions.transform.LayerNorm.{kind}", f"head_norm.{kind}"))
        for number in range(LAYERS):
            theirs, ours = f"encoder.layer.{number}", f"layers.{number}"
            found += [("encoder", f"{theirs}.{part}.{kind}", f"{ours}.{name}.{kind}") for part, name in PARTS.items()]
            found += [("encoder", f"{theirs}.attention.self.{x}.{kind}", f"{ours}.qkv.{kind}") for x in QKV]
    return [*found, ("mlm_head", "predictions.bias", "bias"), ("mlm_head", "predictions.decoder.bias", "bias")]


def load(model: MaskedModel, folder: pathlib.Path) -> None:
    """Weights of Hugging Face's names: encoder.safetensors, mlm_head.safetensors."""
    files = {name: load_file(folder / f"{name}.safetensors") for name in ("encoder", "mlm_head")}
    found: dict[str, list[torch.Tensor]] = {}
    for file, theirs, ours in names():
        found.setdefault(ours, []).append(files[file][theirs].float())
    model.load_state_dict({name: torch.cat(x) if "qkv" in name else x[0] for name, x in found.items()})


def save(model: MaskedModel, folder: pathlib.Path) -> None:
    """As `load` reads it, fp16."""
    state, files = model.state_dict(), dict[str, dict[str, torch.Tensor]](encoder={}, mlm_head={})
    for file, theirs, ours in names():
        value = state[ours].half()
        if ".qkv." in ours:
            value = value.chunk(3)[next(i for i, x in enumerate(QKV) if f".{x}." in theirs)]
        files[file][theirs] = value.clone()
    for name, tensors in files.items():
        save_file(tensors, folder / f"{name}.safetensors")


def masked(windows: torch.Tensor, words: int, rate: float, draw: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Packed windows [B, L - 1] -> ids [B, L], flat places of hidden tokens, their ids; whole words are hidden."""
    ids, starts = (windows & 0x7FFF).long(), windows < 0x8000
    picked = torch.rand(len(ids), ids.shape[1] + 1, generator=draw) < rate
    hidden = picked.gather(1, starts.long().cumsum(1)) & (ids >= FIRST)
    dice = torch.rand(ids.shape, generator=draw)
    given = torch.where(hidden & (dice < 0.8), MASK, ids)
    drawn = torch.randint(FIRST, words, ids.shape, generator=draw)
    given = torch.where(hidden & (dice >= 0.9), drawn, given)
    return F.pad(given, (1, 0), value=CLS), F.pad(hidden, (1, 0)).flatten().nonzero().squeeze(1), ids[hidden]


class Windows:
    """Every window of `length` tokens once an epoch, cut and ordered anew in each."""

    def __init__(self, stream: torch.Tensor, length: int, seed: int) -> None:
        self.stream, self.length, self.seed, self.epoch = stream, length, seed, -1
        self.count = (len(stream) - length) // length

    def __getitem__(self, number: int) -> torch.Tensor:
        if (epoch := number // self.count) != self.epoch:
            draw, self.epoch = np.random.default_rng([self.seed, epoch, self.length]), epoch
            self.shift, self.order = int(draw.integers(self.length)), draw.permutation(self.count)
        first = self.shift + int(self.order[number % self.count]) * self.length
        return self.stream[first : first + self.length]


def evaluate(model: MaskedModel, held: torch.Tensor, words: int) -> tuple[float, float]:
    """Loss and accuracy of 512 fixed windows of held-out text, 15% hidden."""
    draw, sums = torch.Generator().manual_seed(1), np.zeros(3)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(16):
            first = torch.randint(0, len(held) - 127, (32, 1), generator=draw)
            ids, places, labels = masked(held[first + torch.arange(127)], words, 0.15, draw)
            logits = model(ids, places).float()
            right = (logits.argmax(-1) == labels).sum()
            sums += [float(F.cross_entropy(logits, labels, reduction="sum")), float(right), len(labels)]
    return round(sums[0] / sums[2], 4), round(sums[1] / sums[2], 4)


def run(rank: int, args: argparse.Namespace) -> None:
    """One of the processes; each takes its share of a step's windows."""
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(args.port))
    dist.init_process_group("gloo", rank=rank, world_size=args.processes)
    words = len((args.data / "vocab.txt").read_text(encoding="utf-8").split("\n")) - 1
    stream = torch.from_numpy(np.fromfile(args.data / "tokens.u16", "<u2").astype(np.int32))
    held, stream = stream[-HELD_OUT:], stream[:-HELD_OUT]
    text = [Windows(stream, length - 1, args.seed) for length in (128, 512)]
    model = MaskedModel(words)
    load(model, args.init)
    weights = list(model.parameters())
    wide, thin = ([w for w in weights if (w.ndim > 1) == flag] for flag in (True, False))
    groups = [{"params": wide, "weight_decay": 0.01}, {"params": thin, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.learning_rate, betas=(0.9, 0.98), eps=1e-6, fused=True)
    step = tokens = 0
    before, at, path = 0.0, list(args.at), args.out / "state.pt"
    if path.exists():
        state = torch.load(path, weights_only=False)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, tokens, before, at = (state[name] for name in ("step", "tokens", "seconds", "at"))
    draw = torch.Generator().manual_seed(args.seed * 1000 + rank * 7 + step * 13)
    flat = torch.zeros(sum(w.numel() for w in weights))
    views = [part.view_as(w) for part, w in zip(flat.split([w.numel() for w in weights]), weights, strict=True)]
    started = logged = stored = time.time()
    recent: list[float] = []

    def seconds() -> float:
        return before + time.time() - started

    def log(**row: object) -> None:
        row = {"step": step, "tokens": tokens, "seconds": round(seconds()), **row, "held": evaluate(model, held, words)}
        with (args.out / "log.jsonl").open("a") as file:
            print(json.dumps(row), file=file)
        print(json.dumps(row), flush=True)

    def store() -> None:
        save(model, args.out)
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save({**state, "step": step, "tokens": tokens, "seconds": seconds(), "at": at}, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    if rank == 0:
        log()
    while True:
        clock = torch.tensor([seconds()])
        dist.broadcast(clock, 0)
        done = float(clock) / (60 * args.minutes)
        if done >= 1:
            break
        part = done / args.warmup if done < args.warmup else (1 - done) / (1 - args.warmup)
        for group in optimizer.param_groups:
            group["lr"] = args.learning_rate * max(part, 0.005)
        long, rate = int(done > 1 - args.long), args.mask_rate[0] + (args.mask_rate[1] - args.mask_rate[0]) * done
        rows, loss_sum, count = args.micro // (512 if long else 128), 0.0, 0
        with torch.autocast("cpu", dtype=torch.bfloat16):
            for turn in range(args.accumulate):
                first = at[long] + (turn * args.processes + rank) * rows
                windows = torch.stack([text[long][first + row] for row in range(rows)])
                ids, places, labels = masked(windows, words, rate, draw)
                loss = F.cross_entropy(model(ids, places).float(), labels, reduction="sum")
                (loss / (args.micro * rate * args.accumulate * args.processes)).backward()
                loss_sum, count = loss_sum + float(loss.detach()), count + len(labels)
        at[long] += args.accumulate * args.processes * rows
        for view, weight in zip(views, weights, strict=True):
            view.copy_(weight.grad)
        dist.all_reduce(flat)
        for view, weight in zip(views, weights, strict=True):
            weight.grad = view
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        for weight in weights:
            weight.grad = None
        step, tokens = step + 1, tokens + args.micro * args.accumulate * args.processes
        recent = [*recent[-49:], loss_sum / count]
        if rank == 0 and time.time() - logged > 150:
            logged = time.time()
            log(learning_rate=args.learning_rate * part, mask_rate=round(rate, 3), train=round(np.mean(recent), 4))
            if time.time() - stored > 300:
                stored = time.time()
                store()
    if rank == 0:
        log()
        store()
    dist.destroy_process_group()


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "init", "out"):
        p.add_argument(f"--{name}", type=pathlib.Path, required=True)
    p.add_argument("--minutes", type=float, default=75)
    p.add_argument("--learning-rate", type=float, default=7e-4)
    p.add_argument("--warmup", type=float, default=0.04)
    p.add_argument("--mask-rate", type=float, nargs=2, default=(0.3, 0.15))
    p.add_argument("--long", type=float, default=0.08, help="part of the time with windows of 512 tokens")
    p.add_argument("--at", type=int, nargs=2, default=(0, 0), help="windows of 128 and of 512 tokens seen before")
    p.add_argument("--micro", type=int, default=1024, help="tokens at once in a process: what fits into its cache")
    p.add_argument("--accumulate", type=int, default=2)
    p.add_argument("--processes", type=int, default=2)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--port", type=int, default=29511)
    args = p.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.multiprocessing.spawn(run, args=(args,), nprocs=args.processes)


if __name__ == "__main__":
    main()
