"""Simulates machines behind a load balancer, from the service times that a sweep measured: the tables of docs/scale.md.

A machine answers what waits, at most `--batch` texts at once; n texts take `first + (n - 1) * more` milliseconds, a
line through two measured points: one caller, and 32 callers. Requests of one text arrive at random (Poisson).

    python docs/record/simulate_cluster.py --first 6.4 --more 1.85 --rates 100,200,300,400 --machines 1
    python docs/record/simulate_cluster.py --first 6.4 --more 1.85 --rates 1000,10000 --p99 50
"""

from __future__ import annotations

import argparse
import random
from collections import deque
from dataclasses import dataclass, field

BALANCERS = ("random", "turns", "two")  # two: the shorter queue of two that are drawn
SPREAD = 0.25  # of service times around the line, as texts have different lengths


@dataclass(kw_only=True)
class Machine:
    """One server: what waits, and until when it is busy."""

    waiting: deque[float] = field(default_factory=deque)  # arrival times
    in_service: list[float] = field(default_factory=list)
    free_at: float = 0.0

    @property
    def load(self) -> int:
        """Texts in it."""
        return len(self.waiting) + len(self.in_service)


@dataclass(frozen=True, kw_only=True)
class Service:
    """How long a machine takes for a batch."""

    first_ms: float
    more_ms: float
    batch: int

    def seconds(self, texts: int, dice: random.Random) -> float:
        """Of a batch of so many texts."""
        return (self.first_ms + (texts - 1) * self.more_ms) / 1000 * dice.uniform(1 - SPREAD, 1 + SPREAD)


def latencies(service: Service, machines: int, rate: float, balancer: str, seconds: float, seed: int) -> list[float]:
    """Seconds from arrival to answer of every request that arrived after the first fifth, sorted."""
    dice = random.Random(seed)
    fleet = [Machine() for _ in range(machines)]
    answered: list[tuple[float, float]] = []
    now, turn = 0.0, 0

    def advance(machine: Machine, until: float) -> None:
        """Finish and begin batches up to a time."""
        while machine.free_at <= until and (machine.in_service or machine.waiting):
            answered.extend((arrival, machine.free_at - arrival) for arrival in machine.in_service)
            machine.in_service.clear()
            if machine.waiting:
                begin = max(machine.free_at, machine.waiting[0])
                while machine.waiting and len(machine.in_service) < service.batch and machine.waiting[0] <= begin:
                    machine.in_service.append(machine.waiting.popleft())
                machine.free_at = begin + service.seconds(len(machine.in_service), dice)

    while now < seconds:
        now += dice.expovariate(rate)
        if balancer == "turns":
            drawn = [fleet[turn % machines]]
            turn += 1
        else:
            drawn = [fleet[dice.randrange(machines)] for _ in range(2 if balancer == "two" else 1)]
        for machine in drawn:
            advance(machine, now)
        chosen = min(drawn, key=lambda machine: machine.load)
        chosen.waiting.append(now)
        advance(chosen, now)
    for machine in fleet:
        advance(machine, float("inf"))
    return sorted(latency for arrival, latency in answered if arrival > seconds / 5)


def quantile_ms(latencies: list[float], share: float) -> float:
    """Milliseconds that this share of the requests keeps."""
    return 1000 * latencies[min(len(latencies) - 1, int(share * len(latencies)))]


def fewest(service: Service, rate: float, p99_ms: float, balancer: str, seconds: float) -> tuple[int, list[float]]:
    """The fewest machines that keep the limit, and the latencies with them."""
    least = max(1, int(rate * service.more_ms / 1000))  # below this they do not keep up
    low, high = least, least
    while quantile_ms(latencies(service, high, rate, balancer, seconds, 1), 0.99) > p99_ms:
        low, high = high + 1, high * 2
    while low < high:
        middle = (low + high) // 2
        if quantile_ms(latencies(service, middle, rate, balancer, seconds, 1), 0.99) <= p99_ms:
            high = middle
        else:
            low = middle + 1
    return high, latencies(service, high, rate, balancer, seconds, 2)


def main() -> None:
    """Print a table."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--first", type=float, required=True, help="ms of one text alone")
    p.add_argument("--more", type=float, required=True, help="ms of each further text in a batch")
    p.add_argument("--batch", type=int, default=64, help="the maximum of texts at once")
    p.add_argument("--rates", required=True, help="requests/s, joined by commas")
    p.add_argument("--machines", type=int, help="so many; without it the fewest for --p99")
    p.add_argument("--p99", type=float, default=50.0, help="ms")
    p.add_argument("--seconds", type=float, default=20.0, help="that are simulated")
    args = p.parse_args()
    service = Service(first_ms=args.first, more_ms=args.more, batch=args.batch)
    print("| requests/s | balancer | machines | requests/s each | p50 ms | p99 ms | p99 ms, one machine fewer |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    for rate in map(float, args.rates.split(",")):
        for balancer in BALANCERS if args.machines != 1 else BALANCERS[:1]:
            if args.machines:
                count = args.machines
                taken = latencies(service, count, rate, balancer, args.seconds, 1)
            else:
                count, taken = fewest(service, rate, args.p99, balancer, args.seconds)
            fewer = latencies(service, count - 1, rate, balancer, args.seconds, 1) if count > 1 else []
            less = f"{quantile_ms(fewer, 0.99):.0f}" if fewer else "-"
            p50, p99 = (quantile_ms(taken, share) for share in (0.5, 0.99))
            print(f"| {rate:g} | {balancer} | {count} | {rate / count:.0f} | {p50:.1f} | {p99:.1f} | {less} |")


if __name__ == "__main__":
    main()
