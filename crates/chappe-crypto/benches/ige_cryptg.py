"""AES-256-IGE of cryptg, to stand beside what `cargo bench --bench ige` measured just before.

    pip install cryptg==0.6.0
    cargo bench -p chappe-crypto --bench ige && python3 crates/chappe-crypto/benches/ige_cryptg.py

cryptg is a Python extension in Rust; its work is done by grammers-crypto 0.7 and aes 0.8. Its
figures hold the call from Python and the bytes object of the answer; the first line tells what a
call costs that does next to nothing. The fastest round counts, for cryptg in CPU time and for the
others in the time criterion took, so that a busy machine disturbs little.
"""

import json
import time
from pathlib import Path

import cryptg

SIZES = [128, 1024, 16 * 1024, 512 * 1024]
KEY, IV = bytes([1] * 32), bytes([2] * 32)
CRITERION = Path(__file__).parents[3] / "target" / "criterion"
ROUNDS = 300


def fastest(function, data):
    """Seconds of one call in the fastest round."""
    calls = max(1, 64 * 1024 // len(data))
    rounds = []
    for _ in range(ROUNDS):
        start = time.thread_time_ns()
        for _ in range(calls):
            function(data, KEY, IV)
        rounds.append((time.thread_time_ns() - start) / calls)
    return min(rounds) / 1e9


def fastest_sample(group, name, size):
    """The same of a case that criterion ran, or None."""
    file = CRITERION / group / name / str(size) / "new" / "sample.json"
    if not file.exists():
        return None
    sample = json.loads(file.read_text())
    return min(t / i for t, i in zip(sample["times"], sample["iters"])) / 1e9


def main():
    print(f"a call of 16 bytes: {fastest(cryptg.encrypt_ige, bytes(16)) * 1e9:.0f} ns")
    for direction, function in ("encrypt", cryptg.encrypt_ige), ("decrypt", cryptg.decrypt_ige):
        for size in SIZES:
            seconds = {"cryptg": fastest(function, bytes([3] * size))}
            for name in "chappe", "rustcrypto", "grammers":
                seconds[name] = fastest_sample(f"ige-{direction}", name, size)
            speeds = [f"{name} {size / took / 1e6:.0f}" for name, took in seconds.items() if took]
            print(f"{direction} {size}: {', '.join(speeds)} MB/s")


if __name__ == "__main__":
    main()
